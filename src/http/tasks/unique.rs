//! The uniqueness of a task in requests.

use serde_json::value::RawValue;
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::domain::UniqueKey;
use crate::domain::limits::{UNIQUE_TTL_MS_MAX, UNIQUE_TTL_MS_MIN};
use crate::domain::unique::{OnDuplicate, Unique, UniqueScope};
use crate::http::field::{
    At, Described, Field, Kind, Object, Parsed, Refusal, Seconds, Word, Wrong, sentence, shape,
};
use crate::http::json;
use crate::http::wire;

pub(super) const UNIQUE: Field<UniqueObject> = Field::new(
    "unique",
    UniqueObject,
    "Create the task only if no other task of this queue holds the same key.",
);

const KEY: Field<Parsed<UniqueKey>> = Field::required(
    "key",
    Parsed {
        parse: |text| UniqueKey::parse(text).map_err(sentence),
        schema: wire::unique_key_schema,
    },
    "Key of the task. Enqueues with the same key create one task.",
);
const TTL: Field<Seconds> = Field::new(
    "ttl_seconds",
    Seconds {
        min_ms: UNIQUE_TTL_MS_MIN,
        max_ms: UNIQUE_TTL_MS_MAX,
    },
    "Seconds from acceptance for which the task holds the key. Default: 3600. Only with the scope `ttl`.",
);
const SCOPE: Field<Word<Scope>> = Field::new(
    "scope",
    Word {
        words: &[
            ("ttl", Scope::Ttl),
            ("until_leased", Scope::UntilLeased),
            ("until_finished", Scope::UntilFinished),
        ],
    },
    "End of the hold on the key: after `ttl_seconds`; at the first grant of the task; or when it is completed, cancelled, dead or purged.",
)
.or("\"ttl\"");
const ON_DUPLICATE: Field<Word<OnDuplicate>> = Field::new(
    "on_duplicate",
    Word {
        words: &[
            ("return", OnDuplicate::Return),
            ("reject", OnDuplicate::Reject),
            ("replace", OnDuplicate::Replace),
        ],
    },
    "Where another task holds the key. `return`: answer with that task. `reject`: refuse with 409. `replace`: give that task this payload \
     and these options if it was never granted, else as `return`; id, `ready_at` and key stay as they are.",
)
.or("\"return\"");

shape! {
    /// Creates one task per key.
    UniqueRequest: KEY, TTL, SCOPE, ON_DUPLICATE
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Ttl,
    UntilLeased,
    UntilFinished,
}

/// Takes `unique` from the fields of a task. Returns `None` if it is absent, or is wrong, which is noted.
pub(super) fn take(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> Option<Unique> {
    let text = object.take(&UNIQUE, wrong)?;
    let task = object.at();
    let at = At::Field(&task, UNIQUE.name);
    let Ok(fields) = json::open(text.get(), None) else {
        wrong.add(at, "must be an object");
        return None;
    };
    let mut object = Object::new(fields, UniqueRequest::SHAPE, at, wrong);
    let key = object.take(&KEY, wrong);
    let ttl_ms = object.take(&TTL, wrong);
    let scope = match object.take(&SCOPE, wrong).unwrap_or(Scope::Ttl) {
        Scope::Ttl => UniqueScope::Ttl(ttl_ms.unwrap_or(UniqueScope::DEFAULT_TTL_MS)),
        other => {
            if ttl_ms.is_some() {
                let detail = "contradicts scope: only the scope ttl has a time";
                wrong.add(At::Field(&at, TTL.name), detail);
            }
            match other {
                Scope::UntilLeased => UniqueScope::UntilLeased,
                _ => UniqueScope::UntilFinished,
            }
        }
    };
    let on_duplicate = object.take(&ON_DUPLICATE, wrong).unwrap_or_default();
    Some(Unique {
        key: key?,
        scope,
        on_duplicate,
    })
}

/// An object of the shape above.
#[derive(Debug)]
pub(super) struct UniqueObject;

impl Kind for UniqueObject {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        Ok(text)
    }
}

impl Described for UniqueObject {
    fn schema(&self) -> RefOr<Schema> {
        Ref::from_schema_name("UniqueRequest").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tasks::new_task::tests::{parse, refused};

    fn unique(object: &str) -> Unique {
        let task = parse(&format!("{{\"unique\":{object}}}"));
        task.unwrap().unique.unwrap()
    }

    #[test]
    fn a_key_alone_is_held_for_an_hour_and_answers_with_its_task() {
        let expected = Unique {
            key: UniqueKey::parse("order-1").unwrap(),
            scope: UniqueScope::Ttl(3_600_000),
            on_duplicate: OnDuplicate::Return,
        };
        assert_eq!(unique(r#"{"key":"order-1"}"#), expected);
        assert_eq!(
            unique(r#"{"key":"order-1","ttl_seconds":null,"scope":null}"#),
            expected
        );
    }

    #[test]
    fn each_word_means_what_it_says() {
        let scope = |rest: &str| unique(&format!("{{\"key\":\"k\",{rest}}}")).scope;
        assert_eq!(scope(r#""ttl_seconds":1.5"#), UniqueScope::Ttl(1_500));
        assert_eq!(scope(r#""scope":"until_leased""#), UniqueScope::UntilLeased);
        assert_eq!(scope(r#""scope":"until_finished""#), UniqueScope::UntilFinished);
        for (word, on_duplicate) in [
            ("return", OnDuplicate::Return),
            ("reject", OnDuplicate::Reject),
            ("replace", OnDuplicate::Replace),
        ] {
            let object = format!(r#"{{"key":"k","on_duplicate":"{word}"}}"#);
            assert_eq!(unique(&object).on_duplicate, on_duplicate);
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_named_down_to_the_leaf() {
        let long = format!(r#"{{"key":"{}"}}"#, "k".repeat(256));
        for (object, pointers) in [
            ("{}", vec!["/unique/key"]),
            (r#""order-1""#, vec!["/unique"]),
            (r#"{"key":""}"#, vec!["/unique/key"]),
            (r#"{"key":"a\nb"}"#, vec!["/unique/key"]),
            (&long, vec!["/unique/key"]),
            (r#"{"key":"k","ttl":1}"#, vec!["/unique/ttl"]),
            (r#"{"key":"k","ttl_seconds":0.9}"#, vec!["/unique/ttl_seconds"]),
            (
                r#"{"key":"k","scope":"ever","on_duplicate":"ignore"}"#,
                vec!["/unique/scope", "/unique/on_duplicate"],
            ),
            (
                r#"{"key":"k","scope":"until_leased","ttl_seconds":60}"#,
                vec!["/unique/ttl_seconds"],
            ),
        ] {
            assert_eq!(
                refused(&format!("{{\"unique\":{object}}}")).1,
                pointers,
                "{object}"
            );
        }
    }
}
