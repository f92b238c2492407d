//! Collects the findings of one image, leaving out those that nobody asked for.

use super::findings::{Code, Finding, Subject};

/// Which findings are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these, where there are any.
    pub only: Vec<Code>,
    /// Not these.
    pub ignore: Vec<Code>,
}

impl Selection {
    /// Whether findings of this kind are asked for.
    #[must_use]
    pub fn contains(&self, code: Code) -> bool {
        (self.only.is_empty() || self.only.contains(&code)) && !self.ignore.contains(&code)
    }
}

/// The findings of one image.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    image: &'a str,
    selection: &'a Selection,
    findings: Vec<Finding>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(image: &'a str, selection: &'a Selection) -> Self {
        Self {
            image,
            selection,
            findings: Vec::new(),
        }
    }

    /// Whether it is worth looking for findings of this kind.
    pub(super) fn wants(&self, code: Code) -> bool {
        self.selection.contains(code)
    }

    pub(super) fn add(&mut self, code: Code, subject: &Subject, message: impl Into<String>) {
        self.add_at(code, subject, None, message);
    }

    /// [`Recorder::add`] for a finding about the value at a JSON path.
    pub(super) fn add_at(
        &mut self,
        code: Code,
        subject: &Subject,
        at: impl Into<Option<String>>,
        message: impl Into<String>,
    ) {
        if self.wants(code) {
            self.findings.push(Finding {
                code,
                image: self.image.to_owned(),
                subject: subject.clone(),
                at: at.into(),
                message: message.into(),
            });
        }
    }

    /// The findings in the order in which they were added.
    pub(super) fn finish(self) -> Vec<Finding> {
        self.findings
    }
}
