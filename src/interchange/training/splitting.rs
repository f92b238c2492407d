//! Which images train, which validate and which test.

use super::TrainingError;
use super::templates::Draw;
use crate::dataset::Document;

/// One of the parts that a data set is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// For training.
    Train,
    /// For choosing between trained models.
    Validation,
    /// For the final measure.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name of the part's folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// What stays together in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Every image goes its own way.
    Image,
    /// The images of one folder.
    Folder,
    /// The images that say the same under this key, among the document's own keys or in the first region that has
    /// it; an image without it goes its own way.
    Attribute(String),
}

/// How a data set is split: the shares are those of the groups that are to be expected in the long run.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Shares of training, validation and test; any unit, such as percent.
    pub shares: [f64; 3],
    /// What stays together.
    pub group: Group,
    /// Another seed gives another split.
    pub seed: u64,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            shares: [1.0, 0.0, 0.0],
            group: Group::Image,
            seed: 0,
        }
    }
}

impl Split {
    /// # Errors
    /// [`TrainingError::Shares`].
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let [train, validation, test] = self.shares;
        let sum: f64 = self.shares.iter().sum();
        if sum > 0.0 && sum.is_finite() && self.shares.iter().all(|share| *share >= 0.0) {
            Ok(())
        } else {
            Err(TrainingError::Shares {
                train,
                validation,
                test,
            })
        }
    }

    /// The part of the image `name`; depends on nothing but the seed and its group.
    pub(super) fn part(&self, name: &str, document: &Document) -> Part {
        let own = || ("image", name.to_owned());
        let (kind, group) = match &self.group {
            Group::Image => own(),
            Group::Folder => (
                "folder",
                name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned(),
            ),
            Group::Attribute(key) => attribute(document, key).map_or_else(own, |value| ("attribute", value)),
        };
        let sum: f64 = self.shares.iter().sum();
        let mut point = Draw::new(self.seed, &group, kind).fraction() * sum;
        let mut chosen = Part::Train;
        for (part, share) in Part::ALL.into_iter().zip(self.shares) {
            if share > 0.0 {
                chosen = part;
                if point < share {
                    break;
                }
            }
            point -= share;
        }
        chosen
    }
}

fn attribute(document: &Document, key: &str) -> Option<String> {
    let of_regions = document
        .regions
        .iter()
        .find_map(|region| region.attributes.get(key));
    let value = document.unknown.get(key).or(of_regions)?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ImageRef, Region};
    use crate::geometry::ImageSize;
    use crate::mask::Mask;

    fn document() -> Document {
        Document::new(ImageRef::new("a.jpg".as_ref(), ImageSize::new(2, 2), None))
    }

    #[test]
    fn shares_are_kept_and_groups_stay_together() {
        let mut split = Split {
            shares: [80.0, 15.0, 5.0],
            ..Split::default()
        };
        split.check().unwrap();
        let mut counts = [0; 3];
        for index in 0..4000 {
            let part = split.part(&format!("f/{index}.jpg"), &document());
            counts[part as usize] += 1;
        }
        let [train, validation, test] = counts;
        assert!(
            (3100..3300).contains(&train) && (540..660).contains(&validation),
            "{counts:?}"
        );
        assert!((150..250).contains(&test), "{counts:?}");

        split.group = Group::Folder;
        split.shares = [1.0, 1.0, 1.0];
        let parts = |split: &Split| -> Vec<Part> {
            (0..60)
                .map(|index| split.part(&format!("f{}/{index}.jpg", index / 3), &document()))
                .collect()
        };
        for trio in parts(&split).chunks(3) {
            assert!(trio.iter().all(|part| part == &trio[0]));
        }
        let first = parts(&split);
        split.seed = 1;
        assert!(parts(&split) != first);

        split.group = Group::Attribute("site".to_owned());
        let mut document = document();
        let mask = Mask::full(ImageSize::new(2, 2)).unwrap().to_rle();
        let mut region = Region::new("r1".to_owned(), mask);
        region.attributes.insert("site".to_owned(), "A".into());
        document.regions.push(region);
        let by_site: Vec<Part> = (0..20)
            .map(|index| split.part(&format!("{index}.jpg"), &document))
            .collect();
        assert!(by_site.iter().all(|part| part == &by_site[0]));
    }

    #[test]
    fn shares_that_split_nothing_are_refused() {
        for shares in [
            [0.0; 3],
            [1.0, -0.1, 0.0],
            [f64::NAN, 1.0, 0.0],
            [f64::INFINITY, 0.0, 0.0],
        ] {
            let split = Split {
                shares,
                ..Split::default()
            };
            assert!(split.check().is_err(), "{shares:?}");
        }
        let nothing_to_train = Split {
            shares: [0.0, 0.0, 1.0],
            ..Split::default()
        };
        assert_eq!(nothing_to_train.part("a.jpg", &document()), Part::Test);
    }
}
