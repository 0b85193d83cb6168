//! Objects: fields are taken by name, and no field stays unread.

use serde_json::value::RawValue;

use super::kind::{Field, Kind, Shape};
use super::lists::ListOf;
use super::wrong::{At, Wrong};
use crate::http::json::{FIELDS_MAX, Fields, Items, Value};

/// An object that is being read. Fields are taken by name; a field that is left is an error.
pub(in crate::http) struct Object<'a, 'p> {
    fields: Fields<'a>,
    at: At<'p>,
    shape: &'static Shape,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Opens an object, and notes unknown and repeated fields.
    pub(in crate::http) fn new(
        fields: Fields<'a>,
        shape: &'static Shape,
        at: At<'p>,
        wrong: &mut Wrong,
    ) -> Self {
        if fields.has_more {
            wrong.add(at, format!("has more than {FIELDS_MAX} fields"));
        }
        for (index, (key, _)) in fields.entries.iter().enumerate() {
            let here = At::Field(&at, key);
            match shape.iter().find(|field| field.name() == key) {
                None => wrong.add(here, unknown(shape)),
                Some(_) if fields.entries[..index].iter().any(|(earlier, _)| earlier == key) => {
                    wrong.add(here, "is given twice");
                }
                Some(_) => {}
            }
        }
        Self { fields, at, shape }
    }

    pub(in crate::http) fn at(&self) -> At<'p> {
        self.at
    }

    /// Takes the value of a field. Returns `None` if it is absent or null, or is wrong, which is noted.
    pub(in crate::http) fn take<K: Kind>(
        &mut self,
        field: &Field<K>,
        wrong: &mut Wrong,
    ) -> Option<K::Value<'a>> {
        let text = self.text(field.name);
        if text.is_none() && field.required {
            wrong.add(At::Field(&self.at, field.name), "is required");
        }
        field
            .kind
            .read(text?)
            .map_err(|refusal| wrong.add(At::Field(&self.at, field.name), refusal))
            .ok()
    }

    /// Takes the items of the list that was opened with the object. Returns `None` if it is absent or null;
    /// also if it is no list or too long, which is noted.
    pub(in crate::http) fn items(&mut self, field: &Field<ListOf>, wrong: &mut Wrong) -> Option<Items<'a>> {
        let at = At::Field(&self.at, field.name);
        let found = self.fields.entries.iter_mut().find(|(key, _)| key == field.name);
        match found.map(|(_, value)| std::mem::replace(value, Value::NoItems { null: true })) {
            Some(Value::Items(items)) if items.count > field.kind.items_max => {
                wrong.add(at, field.kind.too_many());
                None
            }
            Some(Value::Items(items)) => Some(items),
            Some(Value::NoItems { null: true }) if !field.required => None,
            Some(_) => {
                wrong.add(at, "must be a list of objects");
                None
            }
            None => {
                if field.required {
                    wrong.add(at, "is required");
                }
                None
            }
        }
    }

    fn text(&self, name: &str) -> Option<&'a RawValue> {
        debug_assert!(
            self.shape.iter().any(|field| field.name() == name),
            "{name} is read but not in its shape"
        );
        self.fields.text(name)
    }
}

fn unknown(shape: &Shape) -> String {
    let names: Vec<_> = shape.iter().map(|field| field.name()).collect();
    if names.is_empty() {
        return "is not a field of this request, which takes no fields".to_owned();
    }
    format!(
        "is not a field of this request; its fields are {}",
        names.join(", ")
    )
}
