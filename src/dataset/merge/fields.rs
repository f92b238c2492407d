//! Merging fields and maps: what only one side changed is taken from there.

use serde_json::{Map, Value, json};

use super::{CONFLICTS_KEY, Conflict, ConflictKind, Merger, Place, Side, Versions, lists};

/// The value that holds unless both sides set different ones.
pub(super) fn three_way<'a, T: PartialEq>(value: Versions<'a, T>) -> Option<&'a T> {
    if value.ours == value.theirs || value.theirs == value.base {
        Some(value.ours)
    } else if value.ours == value.base {
        Some(value.theirs)
    } else {
        None
    }
}

impl Merger {
    /// A field that has one value: ours stays if both set it.
    pub(super) fn field<T: Clone + PartialEq>(
        &mut self,
        place: &Place,
        field: &str,
        value: Versions<'_, T>,
        json: impl Fn(&T) -> Value,
    ) -> T {
        if let Some(value) = three_way(value) {
            return value.clone();
        }
        let kind = ConflictKind::Field {
            field: field.to_owned(),
            ours: json(value.ours),
            theirs: json(value.theirs),
        };
        self.conflicts.push(Conflict::new(place.clone(), kind));
        value.ours.clone()
    }

    /// Keys that this version does not know; `prefix` says where in the place they are.
    pub(super) fn unknown(
        &mut self,
        place: &Place,
        prefix: &str,
        keys: Versions<'_, Map<String, Value>>,
    ) -> Map<String, Value> {
        let versions = [keys.base, keys.ours, keys.theirs];
        let [base, ours, theirs] = versions.map(|map| map.keys().map(String::as_str).collect::<Vec<_>>());
        let (order, _) = lists::order(&base, &ours, &theirs);
        let mut merged = Map::new();
        for key in order {
            // The conflicts of earlier merges have their own rule.
            let value = if *place == Place::Document && key == CONFLICTS_KEY {
                keys.ours.get(key).or_else(|| keys.theirs.get(key)).cloned()
            } else {
                let field = format!("{prefix}{key}");
                self.key(place, field, versions.map(|map| map.get(key)))
            };
            if let Some(value) = value {
                merged.insert(key.to_owned(), value);
            }
        }
        merged
    }

    fn key(
        &mut self,
        place: &Place,
        field: String,
        [base, ours, theirs]: [Option<&Value>; 3],
    ) -> Option<Value> {
        let versions = Versions {
            base: &base,
            ours: &ours,
            theirs: &theirs,
        };
        if let Some(value) = three_way(versions) {
            return value.cloned();
        }
        let kind = match (ours, theirs) {
            (Some(ours), Some(theirs)) => ConflictKind::Field {
                field,
                ours: json!(ours),
                theirs: json!(theirs),
            },
            (ours, _) => ConflictKind::Removed {
                field: Some(field),
                by: if ours.is_some() { Side::Theirs } else { Side::Ours },
            },
        };
        self.conflicts.push(Conflict::new(place.clone(), kind));
        ours.or(theirs).cloned()
    }
}
