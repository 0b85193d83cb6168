//! Reads settles from bodies.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::error;
use crate::domain::settle::{Ack, Extend, Hold, Nack, Release, SettleOp};
use crate::domain::task::Json;
use crate::http::field::{At, Kind, Object, Request, Wrong};
use crate::http::json::{Fields, Items};
use crate::http::problem::Problem;

mod fields;

pub(in crate::http) use fields::{
    AckOperation, AckRequest, ExtendOperation, ExtendRequest, NackOperation, NackRequest, ReleaseOperation,
    ReleaseRequest, Verb,
};
use fields::{
    AnyOperation, DELAY, ERROR, HOLD, LEASE, LEASE_ID, OP, PROGRESS, REASON, RESULT, RETRY, RETRY_AFTER,
};

/// The schemas of the operations that [`read`] accepts.
pub(in crate::http) const OPERATIONS: &[&str] = &[
    "AckOperation",
    "NackOperation",
    "ExtendOperation",
    "ReleaseOperation",
];

macro_rules! operation_bodies {
    ($($request:ty: $verb:expr;)+) => {$(
        impl Request for $request {
            type Value = SettleOp;

            fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<SettleOp> {
                Some(read_fields($verb, object, body, wrong))
            }
        }
    )+};
}

operation_bodies! {
    AckRequest: Verb::Ack;
    NackRequest: Verb::Nack;
    ExtendRequest: Verb::Extend;
    ReleaseRequest: Verb::Release;
}

/// An operation of a list, with the `lease_id` that it is for.
#[derive(Debug)]
pub(in crate::http) struct Addressed {
    pub(in crate::http) operation: SettleOp,
    pub(in crate::http) lease_id: String,
}

/// Reads the list `name` of a body. A mistake in one operation is the outcome of that operation alone.
pub(in crate::http) fn read_list(
    items: Items<'_>,
    name: &str,
    body: &Bytes,
) -> Vec<Result<Addressed, Problem>> {
    let list = At::Field(&At::Root, name);
    let items = items.kept.into_iter().enumerate();
    items
        .map(|(index, fields)| read(fields, body, At::Item(&list, index)))
        .collect()
}

/// Reads one operation of a list, and its `lease_id`.
fn read(fields: Option<Fields<'_>>, body: &Bytes, at: At<'_>) -> Result<Addressed, Problem> {
    let mut wrong = Wrong::default();
    let Some(fields) = fields else {
        wrong.add(at, "must be an object");
        return Err(wrong.into_problem());
    };
    let verb = fields.text(OP.name).and_then(|text| OP.kind.read(text).ok());
    let shape = match verb {
        Some(Verb::Ack) => AckOperation::SHAPE,
        Some(Verb::Nack) => NackOperation::SHAPE,
        Some(Verb::Extend) => ExtendOperation::SHAPE,
        Some(Verb::Release) => ReleaseOperation::SHAPE,
        None => AnyOperation::SHAPE,
    };
    let mut object = Object::new(fields, shape, at, &mut wrong);
    let (verb, lease_id) = (object.take(&OP, &mut wrong), object.take(&LEASE_ID, &mut wrong));
    let operation = verb.map(|verb| read_fields(verb, &mut object, body, &mut wrong));
    wrong.into_result()?;
    Ok(Addressed {
        operation: operation.expect("op is required"),
        lease_id: lease_id.expect("lease_id is required").into_owned(),
    })
}

fn read_fields(verb: Verb, object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> SettleOp {
    let kept = |text: &RawValue| Json::from_checked(body.slice_ref(text.get().as_bytes()));
    match verb {
        Verb::Ack => SettleOp::Ack(Ack {
            result: object.take(&RESULT, wrong).map(kept),
        }),
        Verb::Nack => {
            let error = object.take(&ERROR, wrong);
            let error = match error {
                Some(text) => error::read(text, At::Field(&object.at(), ERROR.name), wrong),
                None => error::cut("", "", None),
            };
            let retry = object.take(&RETRY, wrong).unwrap_or(true);
            let delay_ms = object.take(&DELAY, wrong);
            if !retry && delay_ms.is_some() {
                wrong.add(At::Field(&object.at(), DELAY.name), "contradicts `retry: false`");
            }
            SettleOp::Nack(Nack {
                error,
                retry,
                delay_ms,
            })
        }
        Verb::Extend => SettleOp::Extend(Extend {
            lease_ms: object.take(&LEASE, wrong),
            progress: object.take(&PROGRESS, wrong).map(kept),
        }),
        Verb::Release => {
            let retry_after = object.take(&RETRY_AFTER, wrong);
            let hold = object.take(&HOLD, wrong).unwrap_or_default();
            if hold != Hold::None && retry_after.is_none() {
                wrong.add(At::Field(&object.at(), HOLD.name), "needs retry_after");
            }
            SettleOp::Release(Release {
                retry_after: retry_after.unwrap_or_default(),
                hold,
                reason: object.take(&REASON, wrong).map(Cow::into_owned),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Millis;
    use crate::domain::limits::{ERROR_MESSAGE_BYTES_MAX, RESULT_BYTES_MAX};
    use crate::domain::settle::RetryAfter;
    use crate::http::field::read_request;
    use crate::http::json;
    use crate::http::problem::Code;

    fn one(verb: Verb, body: &str) -> Result<SettleOp, Problem> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        match verb {
            Verb::Ack => read_request::<AckRequest>(&body),
            Verb::Nack => read_request::<NackRequest>(&body),
            Verb::Extend => read_request::<ExtendRequest>(&body),
            Verb::Release => read_request::<ReleaseRequest>(&body),
        }
    }

    fn refused(verb: Verb, body: &str) -> (Code, Vec<String>) {
        let problem = one(verb, body).unwrap_err();
        (problem.code(), problem.pointers())
    }

    fn nack(body: &str) -> Nack {
        match one(Verb::Nack, body).unwrap() {
            SettleOp::Nack(nack) => nack,
            other => panic!("{other:?}"),
        }
    }

    fn retry_after(value: &str) -> Option<RetryAfter> {
        match one(Verb::Release, &format!("{{\"retry_after\":{value}}}")) {
            Ok(SettleOp::Release(release)) => Some(release.retry_after),
            _ => None,
        }
    }

    #[test]
    fn an_empty_body_is_the_plain_operation() {
        for verb in [Verb::Ack, Verb::Nack, Verb::Extend, Verb::Release] {
            assert!(one(verb, "").is_ok());
        }
        let Nack {
            error,
            retry,
            delay_ms,
        } = nack("");
        assert_eq!(
            (error.kind.as_str(), error.message.as_str(), retry, delay_ms),
            ("error", "", true, None)
        );
    }

    #[test]
    fn a_result_is_kept_byte_for_byte_and_bounded() {
        let SettleOp::Ack(ack) = one(Verb::Ack, r#"{"result": [ 1.0,9007199254740993] }"#).unwrap() else {
            panic!("an ack")
        };
        assert_eq!(ack.result.unwrap().as_str(), "[ 1.0,9007199254740993]");
        let long = format!("{{\"result\":\"{}\"}}", "x".repeat(RESULT_BYTES_MAX));
        assert_eq!(
            refused(Verb::Ack, &long),
            (Code::ResultTooLarge, vec!["/result".to_owned()])
        );
    }

    #[test]
    fn an_error_is_text_or_parts_and_is_cut_rather_than_refused() {
        assert_eq!(
            nack(r#"{"error":"smtp \"timeout\""}"#).error.message,
            "smtp \"timeout\""
        );
        let parts = nack(r#"{"error":{"type":"Timeout","message":"after 3 s","stack":null}}"#).error;
        assert_eq!(
            (parts.kind.as_str(), parts.message.as_str(), parts.stack),
            ("Timeout", "after 3 s", None)
        );

        let long = nack(&format!(
            "{{\"error\":\"{}\"}}",
            "é".repeat(ERROR_MESSAGE_BYTES_MAX)
        ))
        .error;
        assert!(long.cut && long.message.len() == ERROR_MESSAGE_BYTES_MAX);
        let odd = nack(&format!(
            "{{\"error\":\"x{}\"}}",
            "é".repeat(ERROR_MESSAGE_BYTES_MAX)
        ))
        .error;
        assert!(odd.cut && odd.message.len() == ERROR_MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn what_is_wrong_inside_an_error_has_its_pointer() {
        assert_eq!(
            refused(Verb::Nack, r#"{"error":{"message":1,"typ":"x"}}"#).1,
            ["/error/typ", "/error/message"]
        );
        assert_eq!(refused(Verb::Nack, r#"{"error":[]}"#).1, ["/error"]);
        assert_eq!(
            refused(Verb::Nack, r#"{"retry":false,"delay_seconds":1}"#).1,
            ["/delay_seconds"]
        );
    }

    #[test]
    fn retry_after_takes_what_upstreams_send() {
        assert_eq!(retry_after("30"), Some(RetryAfter::Ms(30_000)));
        assert_eq!(retry_after("\"30\""), Some(RetryAfter::Ms(30_000)));
        let date = "\"Fri, 15 Jan 2021 08:00:00 GMT\"";
        assert_eq!(
            retry_after(date),
            Some(RetryAfter::At(Millis::new(1_610_697_600_000)))
        );
        assert_eq!(retry_after("null"), Some(RetryAfter::None));
        for bad in [
            "-1",
            "86401",
            "\"soon\"",
            "true",
            "[]",
            "\"Fri, 15 Jan 2099 08:00:00 GMT\"",
            "\"inf\"",
        ] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }

    #[test]
    fn siblings_are_held_until_a_time_that_is_said() {
        let hold = |body: &str| match one(Verb::Release, body) {
            Ok(SettleOp::Release(release)) => Some(release.hold),
            _ => None,
        };
        assert_eq!(hold(r#"{"retry_after":1,"hold":"name"}"#), Some(Hold::Name));
        assert_eq!(hold(r#"{"retry_after":1}"#), Some(Hold::None));
        assert_eq!(hold(r#"{"hold":"none"}"#), Some(Hold::None));
        for body in [
            r#"{"hold":"queue"}"#,
            r#"{"retry_after":null,"hold":"group"}"#,
            r#"{"retry_after":1,"hold":"all"}"#,
        ] {
            assert_eq!(
                refused(Verb::Release, body),
                (Code::ValidationFailed, vec!["/hold".to_owned()]),
                "{body}"
            );
        }
    }

    #[test]
    fn an_operation_of_a_list_has_the_fields_of_its_verb() {
        let read = |text: &'static str| {
            let fields = json::open(text, None).unwrap();
            read(
                Some(fields),
                &Bytes::from_static(text.as_bytes()),
                At::Item(&At::Root, 3),
            )
        };
        let pointers = |text| read(text).unwrap_err().pointers();
        assert!(matches!(
            read(r#"{"op":"extend","lease_id":"L","lease_seconds":60}"#),
            Ok(Addressed {
                operation: SettleOp::Extend(Extend {
                    lease_ms: Some(60_000),
                    ..
                }),
                lease_id,
            }) if lease_id == "L"
        ));
        assert_eq!(
            pointers(r#"{"op":"ack","lease_id":"L","retry":true}"#),
            ["/3/retry"]
        );
        assert_eq!(pointers(r#"{"op":"done","result":1}"#), ["/3/op", "/3/lease_id"]);
        assert_eq!(pointers(r#"{"lease_id":1}"#), ["/3/op", "/3/lease_id"]);
    }
}
