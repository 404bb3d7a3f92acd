//! Where a value stands in a project, to be compared with patterns such as `services.*.ports`.

use std::fmt;

/// A path of keys; the items of a list are `[]`.
#[derive(Clone, Copy)]
pub(crate) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    part: &'p str,
}

impl<'p> Path<'p> {
    /// The whole project.
    pub(crate) const ROOT: Path<'static> = Path { parent: None, part: "" };

    /// One level down.
    pub(crate) fn next<'n>(&'n self, part: &'n str) -> Path<'n>
    where
        'p: 'n,
    {
        Path { parent: Some(self), part }
    }

    /// Whether a pattern describes this place; `*` stands for any one part.
    pub(crate) fn matches(&self, pattern: &str) -> bool {
        let mut here = Some(self);
        for wanted in pattern.rsplit('.') {
            match here.and_then(|path| Some((path.part, path.parent?))) {
                Some((part, parent)) if wanted == "*" || wanted == part => here = Some(parent),
                Some(_) | None => return false,
            }
        }
        here.is_some_and(|path| path.parent.is_none())
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        if parent.parent.is_some() {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_from_the_root_to_the_end() {
        let services = Path::ROOT.next("services");
        let service = services.next("a.b");
        let ports = service.next("ports");
        assert_eq!(ports.to_string(), "services.a.b.ports");
        assert!(ports.matches("services.*.ports"));
        for other in ["ports", "*.ports", "services.*", "x.services.*.ports", "services.*.ports.*"] {
            assert!(!ports.matches(other), "{other}");
        }
    }
}
