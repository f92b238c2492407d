//! The order in which people expect names: `img2` before `img10`, and `B` next to `b`.

use std::cmp::Ordering;

/// Compares two names, or relative paths with `/` between their parts.
///
/// Digits count as the number they spell, however long, and letters regardless of case. Names that are the same in
/// this sense come in the order of their bytes, so that only equal names are equal. Paths are compared part by part,
/// so that what lies in one folder stays together.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let common = common_prefix(a, b);
    let (mut a_parts, mut b_parts) = (a[common..].split('/'), b[common..].split('/'));
    loop {
        let order = match (a_parts.next(), b_parts.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => tokens(a).cmp(tokens(b)).then_with(|| a.cmp(b)),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Length of a common start that can be left out: what follows is compared as it would be with it.
///
/// Names of one folder mostly share their start, and comparing bytes is far cheaper than comparing tokens.
fn common_prefix(a: &str, b: &str) -> usize {
    let bytes = a.bytes().zip(b.bytes());
    let mut length = bytes.take_while(|(a, b)| a == b).count();
    // A number that begins in the common part is compared as a whole, and so is a character.
    while !(a.is_char_boundary(length) && b.is_char_boundary(length))
        || a[..length]
            .chars()
            .next_back()
            .is_some_and(|last| digit(last).is_some())
    {
        length -= 1;
    }
    length
}

/// What a name is made of, in the order in which it is compared.
#[derive(Clone, Copy, Debug)]
enum Token<'a> {
    /// A run of digits without leading zeros.
    Number(&'a str),
    /// A character in lower case that is no digit.
    Letter(char),
}

impl Ord for Token<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                let (count, other_count) = (a.chars().count(), b.chars().count());
                let (a, b) = (a.chars().map(digit), b.chars().map(digit));
                count.cmp(&other_count).then_with(|| a.cmp(b))
            }
            // No letter lies between the digits, so all numbers have one place among the letters.
            (Self::Number(_), Self::Letter(letter)) => '0'.cmp(letter),
            (Self::Letter(letter), Self::Number(_)) => letter.cmp(&'0'),
            (Self::Letter(a), Self::Letter(b)) => a.cmp(b),
        }
    }
}

impl PartialOrd for Token<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Token<'_> {}

impl PartialEq for Token<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

fn tokens(name: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = name;
    // A character can have several in lower case.
    let mut lower_case = None::<std::char::ToLowercase>;
    std::iter::from_fn(move || {
        if let Some(letter) = lower_case.as_mut().and_then(Iterator::next) {
            return Some(Token::Letter(letter));
        }
        let first = rest.chars().next()?;
        if digit(first).is_some() {
            let run = rest.find(|c| digit(c).is_none()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(run);
            rest = after;
            return Some(Token::Number(digits.trim_start_matches(|c| digit(c) == Some(0))));
        }
        rest = &rest[first.len_utf8()..];
        if first.is_ascii() {
            return Some(Token::Letter(first.to_ascii_lowercase()));
        }
        let mut letters = first.to_lowercase();
        let letter = letters.next();
        lower_case = Some(letters);
        letter.map(Token::Letter)
    })
}

/// The value of a digit, in the usual or the full width of East Asian names.
fn digit(c: char) -> Option<u32> {
    match c {
        '0'..='9' => Some(u32::from(c) - u32::from('0')),
        '０'..='９' => Some(u32::from(c) - u32::from('０')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_as_people_expect() {
        let groups: [&[&str]; 8] = [
            &[
                "img.png",
                "img1.png",
                "img2.png",
                "img10.png",
                "img010.png0",
                "img100.png",
            ],
            &["a1b2", "a1b10", "a2b1", "a10"],
            &["IMG_2", "img_10", "Img_11"],
            &[
                "001",
                "01",
                "1",
                "2",
                "18446744073709551616",
                "18446744073709551617",
            ],
            &["a/2.png", "a/10.png", "a b/1.png", "a2/1.png", "a10/1.png"],
            &["A/1", "A/3", "a/2"],
            &["图2", "图10", "图１１", "图12"],
            &["", "-", "0", "_", "a", "É", "é2", "é10"],
        ];
        for group in groups {
            let mut sorted: Vec<&str> = group.iter().rev().copied().collect();
            sorted.sort_by(|a, b| compare(a, b));
            assert_eq!(sorted, group);
        }
    }

    #[test]
    fn a_path_comes_with_its_folder() {
        let mut names = ["b/x", "a.png", "a/b/1", "a/z", "A/q", "a/b.png", "a"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["A/q", "a", "a/b/1", "a/b.png", "a/z", "a.png", "b/x"]);
    }

    /// Names in which numbers, cases and folders meet often.
    fn name() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            proptest::sample::select(vec![
                "0", "1", "00", "12", "a", "A", "/", "é", "É", "２", "图", "İ", ".", "_", "ſ",
            ]),
            0..8,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in name(), b in name(), c in name()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn a_common_start_changes_nothing(start in name(), a in name(), b in name()) {
            let in_full = |a: &str, b: &str| {
                let (a, b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
                let parts = a.iter().zip(&b).map(|(a, b)| tokens(a).cmp(tokens(b)).then_with(|| a.cmp(b)));
                parts.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
            };
            let (a, b) = (start.clone() + &a, start + &b);
            prop_assert_eq!(compare(&a, &b), in_full(&a, &b));
        }
    }
}
