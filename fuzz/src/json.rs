//! The JSON scanner, held against serde_json: what passes is JSON without a key twice, and what is
//! not JSON does not pass.
#![no_main]

use std::collections::HashSet;

use everlog::model::{RawJson, json_scan};
use libfuzzer_sys::fuzz_target;
use serde_json::{Deserializer, value::RawValue};

fuzz_target!(|text: &[u8]| {
    match json_scan::check(text, 64) {
        Ok(valid) => {
            let value: &RawValue = serde_json::from_str(valid).expect("what passes is JSON");
            assert!(keys_are_unique(value.get()), "a key stands twice");
            let kept = RawJson::checked(valid);
            assert!(!kept.as_str().contains(['\n', '\r']));
            assert!(kept.same(&kept));
            let again = json_scan::check(kept.as_str().as_bytes(), 64).expect("what is kept passes");
            assert_eq!(again, kept.as_str());
        }
        Err(fault) => {
            assert!(fault.offset <= text.len());
            assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'));
            if fault.kind.malformed() {
                let mut other = Deserializer::from_slice(text);
                let read = <&RawValue as serde::Deserialize>::deserialize(&mut other);
                assert!(read.is_err() || other.end().is_err(), "JSON was refused: {fault:?}");
            }
        }
    }
});

/// By another road than the scanner's: each object as a list of its members.
fn keys_are_unique(text: &str) -> bool {
    struct Members<'a>(Vec<(String, &'a RawValue)>);
    impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Vec<(String, &'de RawValue)>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<M: serde::de::MapAccess<'de>>(
                    self,
                    mut map: M,
                ) -> Result<Self::Value, M::Error> {
                    let mut members = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        members.push(member);
                    }
                    Ok(members)
                }
            }
            from.deserialize_map(Visit).map(Members)
        }
    }
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).expect("an object");
            let keys: HashSet<_> = members.iter().map(|(key, _)| key).collect();
            keys.len() == members.len() && members.iter().all(|(_, v)| keys_are_unique(v.get()))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
            items.iter().all(|item| keys_are_unique(item.get()))
        }
        _ => true,
    }
}
