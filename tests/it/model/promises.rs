//! Histories that once told model and scripts apart, each under the name of the promise.
