//! JSON bodies: one pass opens an object and leaves its values as text.
//!
//! Values stay slices of the body, so a payload is kept byte for byte and never becomes a tree. The same pass
//! can open one list of objects (`tasks`, `operations`, `settle`), so a batch is read once.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{Code, Problem};

/// Levels of arrays and objects in a body. Deeper bodies break the parsers of most languages, and workers
/// receive what is accepted here.
pub(super) const DEPTH_MAX: usize = 128;

/// Fields of one object that are read. No request has nearly as many, and the search for repeated fields
/// takes quadratic time.
pub(super) const FIELDS_MAX: usize = 64;

/// A JSON object: its keys and the texts of their values.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) entries: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The object has more fields than were kept.
    pub(super) has_more: bool,
}

impl<'a> Fields<'a> {
    /// Returns the text of a value; null counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&'a RawValue> {
        self.entries
            .iter()
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| match value {
                Value::Text(text) if text.get() != "null" => Some(*text),
                _ => None,
            })
    }
}

#[derive(Debug)]
pub(super) enum Value<'a> {
    /// The text of the value, without surrounding space.
    Text(&'a RawValue),
    /// The list that was opened in the same pass.
    Items(Items<'a>),
    /// The key of that list, with another kind of value.
    NoItems { null: bool },
}

/// A list whose items should be objects.
#[derive(Debug)]
pub(super) struct Items<'a> {
    /// `None` for an item that is no object. At most as many as were asked for.
    pub(super) kept: Vec<Option<Fields<'a>>>,
    /// The number of all items.
    pub(super) count: usize,
}

/// The list to open: its key, and the number of items to keep.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) key: &'static str,
    pub(super) keep: usize,
}

/// Returns the body as text. An empty body counts as `{}`.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Code::MalformedJson.because(format!("not UTF-8 after byte {}", error.valid_up_to()))
    })?;
    if text.trim_ascii().is_empty() {
        return Ok("{}");
    }
    if too_deep(text) {
        return Err(Code::MalformedJson.because(format!("nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(text)
}

/// Opens one object; with `list`, also the items of that key.
pub(super) fn open(text: &str, list: Option<List>) -> Result<Fields<'_>, Problem> {
    read(
        text,
        ObjectSeed {
            list,
            keep: FIELDS_MAX,
        },
    )
}

/// Opens one object whose keys the client chooses, up to a number of them.
pub(super) fn open_map(text: &str, keep: usize) -> Result<Fields<'_>, Problem> {
    read(text, ObjectSeed { list: None, keep })
}

fn read(text: &str, seed: ObjectSeed) -> Result<Fields<'_>, Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let opened = seed
        .deserialize(&mut json)
        .and_then(|fields| json.end().map(|()| fields));
    match opened {
        Ok(Some(fields)) => Ok(fields),
        Ok(None) => Err(not_an_object()),
        // serde_json stops at a value that the visitors did not expect. A second, plain pass tells whether
        // the text is JSON.
        Err(_) => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) if text.trim_ascii_start().starts_with('{') => Err(Problem::at(
                "",
                "has a key that is not Unicode text, or a list item that cannot be an object",
            )),
            Ok(_) => Err(not_an_object()),
            Err(error) => Err(Code::MalformedJson.because(error.to_string())),
        },
    }
}

fn not_an_object() -> Problem {
    Problem::at("", "must be a JSON object")
}

/// Returns whether arrays and objects nest deeper than [`DEPTH_MAX`].
fn too_deep(text: &str) -> bool {
    let opening = |byte: &u8| matches!(byte, b'[' | b'{');
    // Most bodies have fewer brackets than allowed levels, and this count handles many bytes at a time.
    if text.bytes().filter(|byte| opening(byte)).count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads an object; `None` for any other value.
struct ObjectSeed {
    list: Option<List>,
    keep: usize,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Option<Fields<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

/// Consumes a value of another kind than expected.
macro_rules! visit_anything_else {
    ($else:expr; $($method:ident),+) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($else) }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($else) }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($else) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($else) }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($else) }
        $(visit_anything_else!(@ $method $else);)+
    };
    (@ seq $else:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($else)
        }
    };
    (@ map $else:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($else)
        }
    };
    (@ null $else:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($else) }
    };
}

impl<'de> Visitor<'de> for ObjectSeed {
    type Value = Option<Fields<'de>>;

    visit_anything_else!(None; null, seq);

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        // The longest request has 13 fields, most have three or four.
        let mut fields = Fields {
            entries: Vec::with_capacity(4),
            has_more: false,
        };
        while fields.entries.len() < self.keep {
            let Some(Key(key)) = entries.next_key()? else {
                return Ok(Some(fields));
            };
            let value = match self.list {
                Some(list) if key == list.key => entries.next_value_seed(ItemsSeed(list))?,
                _ => Value::Text(entries.next_value()?),
            };
            fields.entries.push((key, value));
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            fields.has_more = true;
        }
        Ok(Some(fields))
    }
}

struct ItemsSeed(List);

impl<'de> DeserializeSeed<'de> for ItemsSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed {
    type Value = Value<'de>;

    visit_anything_else!(Value::NoItems { null: false }; map);

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::NoItems { null: true })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.0.keep {
            match items.next_element_seed(ObjectSeed {
                list: None,
                keep: FIELDS_MAX,
            })? {
                Some(item) => kept.push(item),
                None => {
                    let count = kept.len();
                    return Ok(Value::Items(Items { kept, count }));
                }
            }
        }
        let mut count = kept.len();
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Value::Items(Items { kept, count }))
    }
}

/// A key, borrowed from the body unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        json.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text_of_body: &str) -> Result<Vec<(String, String)>, Problem> {
        let text = text(text_of_body.as_bytes())?;
        let fields = open(text, None)?.entries;
        Ok(fields
            .into_iter()
            .map(|(key, value)| match value {
                Value::Text(raw) => (key.into_owned(), raw.get().to_owned()),
                other => panic!("no list was asked for: {other:?}"),
            })
            .collect())
    }

    fn code(body: &str) -> Code {
        read(body).unwrap_err().code()
    }

    #[test]
    fn values_keep_their_text_byte_for_byte() {
        let odd = r#"{"a" : [ 1 ,9007199254740993,{"b":1,"b":2 , "a":1.10}] , "c":"\u00e9\ud800"}"#;
        let read = read(odd).unwrap();
        assert_eq!(read[0].1, r#"[ 1 ,9007199254740993,{"b":1,"b":2 , "a":1.10}]"#);
        assert_eq!(read[1].1, r#""\u00e9\ud800""#);
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        for empty in ["", " \n", "{}"] {
            assert!(read(empty).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_no_json_is_malformed_and_what_is_no_object_is_not_valid() {
        for bad in [
            "{",
            "{\"a\":}",
            "[1,",
            "nul",
            "{} {}",
            "{\"a\":1,}",
            "'x'",
            "[1e999,",
        ] {
            assert_eq!(code(bad), Code::MalformedJson, "{bad}");
        }
        for wrong in ["[]", "[1,[2,{}]]", "null", "3", "1e999", "\"\\ud800\"", "true"] {
            assert_eq!(code(wrong), Code::ValidationFailed, "{wrong}");
        }
        assert_eq!(text(b"{\"a\":\"\xff\"}").unwrap_err().code(), Code::MalformedJson);
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(DEPTH_MAX - 1)).is_ok());
        assert_eq!(code(&nested(DEPTH_MAX)), Code::MalformedJson);
        assert_eq!(code(&nested(5_000_000)), Code::MalformedJson);
        assert!(read(&format!("{{\"a\":\"\\\"{}\"}}", "[{".repeat(500))).is_ok());
        assert!(read(&format!("{{\"a\":[{}[]]}}", "[],".repeat(500))).is_ok());
        let (deep, shallow) = ("[".repeat(200_000), "\"[\",".repeat(200));
        assert_eq!(code(&format!("{{\"a\":[{shallow}{deep}")), Code::MalformedJson);
    }

    #[test]
    fn fields_are_bounded() {
        let of = |count: usize| {
            (0..count)
                .map(|n| format!("\"f{n}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let kept = |text: &str| {
            open(text, None)
                .map(|fields| (fields.entries.len(), fields.has_more))
                .unwrap()
        };
        assert_eq!(kept(&format!("{{{}}}", of(FIELDS_MAX))), (FIELDS_MAX, false));
        assert_eq!(kept(&format!("{{{}}}", of(FIELDS_MAX + 1))), (FIELDS_MAX, true));
        assert_eq!(open_map("{\"a\":1,\"b\":2}", 2).unwrap().entries.len(), 2);
    }

    #[test]
    fn a_list_is_opened_in_the_same_pass_and_cut_at_what_is_asked_for() {
        let list = Some(List {
            key: "tasks",
            keep: 2,
        });
        let fields = open(r#"{"tasks":[{"a":[1]},7,{},[{}],1e5],"atomic":true}"#, list)
            .unwrap()
            .entries;
        let Value::Items(items) = &fields[0].1 else {
            panic!("{fields:?}")
        };
        assert_eq!((items.count, items.kept.len()), (5, 2));
        assert!(items.kept[0].is_some() && items.kept[1].is_none());

        for no_list in [
            r#"{"tasks":{"a":[1,{}]}}"#,
            r#"{"tasks":null}"#,
            r#"{"tasks":"x"}"#,
        ] {
            assert!(matches!(
                open(no_list, list).unwrap().entries[0].1,
                Value::NoItems { .. }
            ));
        }
        let far = open(r#"{"tasks":[1e999]}"#, list).unwrap_err();
        assert_eq!(far.code(), Code::ValidationFailed);
    }
}
