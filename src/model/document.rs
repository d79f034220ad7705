//! JSON that is queried: the state and metadata of projections, and the values they are compared with.
//!
//! A number is its value: what is written `5.0` or `5e0` is the integer 5, and two values that are equal
//! have one text. Integers reach ±(2^63 − 1), all others are 64-bit floats (IEEE 754), in their shortest
//! form. Objects are sorted by their keys.
//!
//! Invariant: no float is an integer of that range, infinite or NaN; no text holds NUL.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt::{self, Display, Formatter, Write},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::json_scan::{self, Fault};

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// The types in the order in which values of several are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Json {
    /// Reads a text that a client sent, nested at most so deep.
    pub fn parse(text: &str, depth_max: usize) -> Result<Self, Fault> {
        json_scan::check_document(text, depth_max)?;
        Ok(Self::stored(text))
    }

    /// Reads a text that a store kept: it was checked before it was written.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Reads of a text that a store kept these members alone, if it is an object.
    #[must_use]
    pub fn skimmed(text: &str, members: &[String]) -> Self {
        if !text.starts_with('{') {
            return Self::stored(text);
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.deserialize_map(Skim { members }).unwrap_or_default()
    }

    /// A finite number.
    fn float(value: f64) -> Self {
        /// 2^63, which is the first that is no integer here.
        const END: f64 = 9_223_372_036_854_775_808.0;
        if value.fract() != 0.0 || value.abs() >= END {
            return Self::Float(value);
        }
        // A float that is an integer is written without a point.
        format!("{value:.0}").parse().map_or(Self::Float(value), Self::Integer)
    }

    #[must_use]
    pub fn of_type(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Boolean,
            Self::Integer(_) | Self::Float(_) => Type::Number,
            Self::String(_) => Type::String,
            Self::Array(_) => Type::Array,
            Self::Object(_) => Type::Object,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// How many values it has, itself and those in it.
    #[must_use]
    pub fn values(&self) -> usize {
        match self {
            Self::Array(elements) => 1 + elements.iter().map(Self::values).sum::<usize>(),
            Self::Object(members) => 1 + members.values().map(Self::values).sum::<usize>(),
            _ => 1,
        }
    }

    /// The bytes of its text, about: as if no character were escaped and each number had eight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 4,
            Self::Integer(_) | Self::Float(_) => 8,
            Self::String(text) => text.len() + 2,
            Self::Array(elements) => {
                elements.iter().map(|element| element.bytes() + 1).sum::<usize>() + 1
            }
            Self::Object(members) => {
                let member = |(key, value): (&String, &Self)| key.len() + value.bytes() + 4;
                members.iter().map(member).sum::<usize>() + 1
            }
        }
    }

    /// Which comes first of two numbers or two strings. Other types have no order among themselves.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Integer(left), Self::Float(right)) => Some(exactly(*left, *right)),
            (Self::Float(left), Self::Integer(right)) => Some(exactly(*right, *left).reverse()),
            (Self::String(left), Self::String(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }

    /// Whether all of another is found in this: objects by their members, arrays by their elements in any
    /// order, all else by being equal.
    #[must_use]
    pub fn contains(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Object(whole), Self::Object(part)) => part
                .iter()
                .all(|(key, value)| whole.get(key).is_some_and(|whole| whole.contains(value))),
            (Self::Array(whole), Self::Array(part)) => {
                part.iter().all(|value| whole.iter().any(|whole| whole.contains(value)))
            }
            _ => self == part,
        }
    }

    /// A member of an object or an element of an array; negative from the end.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(token),
            Self::Array(elements) => {
                let index = index(token)?;
                let from_end = || elements.len().checked_sub(usize::try_from(-index).ok()?);
                elements.get(usize::try_from(index).ok().or_else(from_end)?)
            }
            _ => None,
        }
    }
}

/// An index as RFC 6901 §4 writes it, or one from the end.
fn index(token: &str) -> Option<i64> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (!digits.starts_with('0') || token == "0");
    if canonical { token.parse().ok() } else { None }
}

/// Compares an integer with a float that is none of its kind.
fn exactly(integer: i64, float: f64) -> Ordering {
    // A float with a fraction is below 2^53, and others lie beyond all integers.
    match format!("{:.0}", float.floor()).parse::<i64>() {
        Ok(floor) if integer <= floor => Ordering::Less,
        Err(_) if float > 0.0 => Ordering::Less,
        _ => Ordering::Greater,
    }
}

/// The one text of the value.
impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&text(value)?),
            Self::String(value) => f.write_str(&text(value)?),
            Self::Array(elements) => {
                f.write_char('[')?;
                for (index, element) in elements.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{element}")?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (key, value)) in members.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{value}", text(key)?)?;
                }
                f.write_char('}')
            }
        }
    }
}

fn text(scalar: impl serde::Serialize) -> Result<String, fmt::Error> {
    serde_json::to_string(&scalar).map_err(|_| fmt::Error)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

/// Reads some members of an object.
struct Skim<'a> {
    members: &'a [String],
}

impl<'de> Visitor<'de> for Skim<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(wanted) = map.next_key_seed(Member(self.members))? {
            match wanted {
                Some(key) => drop(members.insert(key.clone(), map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Json::Object(members))
    }
}

/// Finds a key among those that are wanted.
struct Member<'a>(&'a [String]);

impl<'a, 'de> DeserializeSeed<'de> for Member<'a> {
    type Value = Option<&'a String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Member<'a> {
    type Value = Option<&'a String>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|wanted| *wanted == key))
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        // A store may write a float without its exponent.
        let float = || format!("{value}").parse().map_or(Json::Null, Json::float);
        Ok(i64::try_from(value).map_or_else(|_| float(), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            members.insert(key, value);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text, 64).expect("it is a document")
    }

    fn printed(text: &str) -> String {
        json(text).to_string()
    }

    #[test]
    fn equal_values_have_one_text() {
        assert_eq!(
            printed(r#" { "b" : [1.0, 2e0], "a": "\u0041\n" } "#),
            r#"{"a":"A\n","b":[1,2]}"#
        );
        for (written, number) in [
            ("-0", "0"),
            ("-0.0", "0"),
            ("5.0", "5"),
            ("1e18", "1000000000000000000"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775807.0", "9.223372036854776e+18"),
            ("1e300", "1e+300"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(printed(written), number);
            assert_eq!(printed(number), number);
        }
        // As a database writes a float that it keeps in decimal digits.
        let digits = format!("1{}", "0".repeat(300));
        assert_eq!(Json::stored(&digits).to_string(), "1e+300");
        assert_eq!(Json::stored("10000000000000000000").to_string(), "1e+19");
    }

    #[test]
    fn some_members_are_read_without_the_others() {
        let skimmed = |text: &str| Json::skimmed(text, &["a\"".to_owned(), "c".to_owned()]);
        let text = r#"{"a\"": {"x": [1]}, "b": {"c": [5, "}"]}, "c": 2, "d": null}"#;
        assert_eq!(skimmed(text).to_string(), r#"{"a\"":{"x":[1]},"c":2}"#);
        assert_eq!(skimmed("{}").to_string(), "{}");
        for text in ["[1]", "null", "5", "\"c\""] {
            assert_eq!(skimmed(text).to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused_where_it_stands() {
        use json_scan::FaultKind::{FloatRange, IntegerRange, Nul};
        for (text, kind, pointer) in [
            (r#"{"a":[9223372036854775808]}"#, IntegerRange, "/a/0"),
            ("-9223372036854775808", IntegerRange, ""),
            (r#"{"a":1.8e308}"#, FloatRange, "/a"),
            (r#"["\u0000"]"#, Nul, "/0"),
        ] {
            let fault = Json::parse(text, 64).expect_err("it is refused");
            assert_eq!((fault.kind, fault.pointer.as_str()), (kind, pointer));
        }
    }

    #[test]
    fn numbers_compare_by_value_and_types_do_not_compare() {
        let less = |left: &str, right: &str| {
            assert_eq!(json(left).compare(&json(right)), Some(Ordering::Less), "{left} {right}");
            assert_eq!(json(right).compare(&json(left)), Some(Ordering::Greater), "{right} {left}");
        };
        less("1", "1.5");
        less("-1.5", "-1");
        less("9007199254740992", "9007199254740993");
        less("9223372036854775807", "9.3e18");
        less("-9.3e18", "-9223372036854775807");
        less("0", "5e-324");
        less("\"Z\"", "\"a\"");
        less("\"z\"", "\"é\"");
        assert_eq!(json("5"), json("5.0"));
        assert_ne!(json("5"), json("\"5\""));
        assert_ne!(json("1"), json("true"));
        assert_eq!(json("1").compare(&json("\"1\"")), None);
        assert_eq!(json("[1]").compare(&json("[2]")), None);
    }

    #[test]
    fn tokens_find_members_and_elements() {
        let document = json(r#"{"a":[1,2,3],"0":"zero"}"#);
        let get = |token: &str| document.get("a")?.get(token).cloned();
        assert_eq!(document.get("0"), Some(&json("\"zero\"")));
        assert_eq!((get("0"), get("-1")), (Some(json("1")), Some(json("3"))));
        assert_eq!((get("-3"), get("-4"), get("3")), (Some(json("1")), None, None));
        for token in ["", "-", "01", "+1", "-0", "1.0", "a", "99999999999999999999"] {
            assert_eq!(get(token), None, "{token}");
        }
    }

    #[test]
    fn a_part_is_found_by_its_structure() {
        for (whole, part, found) in [
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1}}"#, true),
            (r#"{"a":[1,{"b":2,"c":3}]}"#, r#"{"a":[{"c":3}]}"#, true),
            ("[1,2]", "[2,1,1]", true),
            ("[1,2]", "[]", true),
            ("[1,2]", "1", false),
            ("[[1,2],3]", "[[2]]", true),
            (r#"{"a":null}"#, r#"{"a":null}"#, true),
            (r#"{"b":1}"#, r#"{"a":null}"#, false),
            ("5", "5.0", true),
        ] {
            assert_eq!(json(whole).contains(&json(part)), found, "{whole} {part}");
        }
    }
}
