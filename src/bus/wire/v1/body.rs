//! A body as far as a JSON object: what every command and every query is.
//!
//! Must not cost many times what was sent: a small object takes a hundred times its bytes in memory. And must not choose
//! between two values of one key: whoever looked at the message before us may have seen the other one.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::fields::excerpt;

/// As many as no command of the contract has: each value counts, an object for as many as it takes the memory of.
const MOST_VALUES: usize = 1_500_000;
const VALUES_OF_AN_OBJECT: usize = 12;

/// Reads a body, or says why it is none.
pub fn read(body: &[u8]) -> Result<Value, String> {
    let left = Cell::new(MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Rest(&left).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match read {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("the body is JSON, but no object".to_owned()),
        Err(error) => Err(format!("the body cannot be read as a JSON object in UTF-8: {error}")),
    }
}

/// How many more values the body may have.
#[derive(Clone, Copy)]
struct Rest<'c>(&'c Cell<usize>);

impl Rest<'_> {
    fn spend<E: Error>(self, values: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(values);
        self.0.set(left.ok_or_else(|| E::custom("it has more values than any command; send less at once"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Rest<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rest<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.spend(VALUES_OF_AN_OBJECT)?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                let message = format!("the key {:?} is there twice; give it once", excerpt(&key, 64));
                return Err(A::Error::custom(message));
            }
            let value = entries.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_an_object_of_json() {
        let text = r#"{"a": [1, -1, 1.5, "x\n", true, null, {"b": {}}], "c": 18446744073709551616}"#;
        assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for (body, reason) in [
            (r"[]", "no object"),
            ("{\"a\": \"\u{0}\"}", "control character"),
            (r#"{"a": "\ud800"}"#, "hex escape"),
            (r#"{"a": 1e400}"#, "out of range"),
            (r#"{"a": 1} {}"#, "trailing"),
            (r#"{"a": {"b\n": 1, "c": 2, "b\n": 1}}"#, "the key \"b\u{fffd}\" is there twice"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
        let deep = [r#"{"a":"#, &"[".repeat(100_000)].concat();
        assert!(read(deep.as_bytes()).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn a_body_has_no_more_values_than_the_largest_command() {
        let of = |item: &str, times| read(format!(r#"{{"a":[{}null]}}"#, format!("{item},").repeat(times)).as_bytes());
        assert!(of("0", 1_000_000).is_ok());
        assert!(of("0", 1_500_000).unwrap_err().contains("more values"));
        assert!(of(r#"{"":0}"#, 100_000).is_ok());
        assert!(of(r#"{"":0}"#, 500_000).unwrap_err().contains("more values"));
        // Five thousand rows with all that a row may have; a thousand numbers with all hours that a number may have.
        let variables: Map<_, _> = (0..50).map(|at| (at.to_string(), json!(""))).collect();
        let row = json!({"calledNumber": "+4930123456", "outId": "o", "variables": variables});
        assert!(of(&row.to_string(), 5_000).is_ok());
        let hours = vec![json!({"start": "", "end": ""}); 48];
        let number =
            json!({"number": "", "callingTimes": hours, "noCallTimes": hours, "callingDays": [1, 2, 3, 4, 5, 6, 7]});
        assert!(of(&number.to_string(), 1_000).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_by_the_library_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = read(&bytes) {
                prop_assert_eq!(value, serde_json::from_slice::<Value>(&bytes).unwrap());
            }
        }
    }
}
