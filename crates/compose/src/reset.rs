//! `!reset` and `!override`: what a file takes out of those before it (compose-spec, 13-merge).

use crate::tree::{Node, Tag, Value};

/// Paths of keys that a file takes out of what it is merged into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resets {
    paths: Vec<Vec<String>>,
}

impl Resets {
    /// Takes what is tagged `!reset` out of a document, and notes where; `!override` is noted and stays. Within what is
    /// overridden nothing is looked at.
    pub(crate) fn take(root: &mut Node) -> Self {
        let mut resets = Self::default();
        resets.collect(root, &mut Vec::new());
        resets
    }

    /// Removes the noted paths from what came before.
    pub(crate) fn apply(&self, root: &mut Node) {
        for path in &self.paths {
            remove(root, path);
        }
    }

    /// Removes the noted paths from one service that stands alone.
    pub(crate) fn apply_to_service(&self, name: &str, service: &mut Node) {
        for path in &self.paths {
            if let [services, of, rest @ ..] = path.as_slice()
                && services == "services"
                && of == name
            {
                remove(service, rest);
            }
        }
    }

    fn collect(&mut self, node: &mut Node, path: &mut Vec<String>) {
        match &mut node.value {
            Value::Map(map) => {
                map.retain(|key, value| {
                    path.push(key.to_string());
                    let stays = self.stays(value, path);
                    path.pop();
                    stays
                });
            }
            Value::Seq(items) => {
                let mut index = 0;
                items.retain_mut(|item| {
                    path.push(format!("[{index}]"));
                    index += 1;
                    let stays = self.stays(item, path);
                    path.pop();
                    stays
                });
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {}
        }
    }

    fn stays(&mut self, node: &mut Node, path: &mut Vec<String>) -> bool {
        match node.tag.take() {
            Some(Tag::Reset) => {
                self.paths.push(path.clone());
                false
            }
            Some(Tag::Override) => {
                self.paths.push(path.clone());
                true
            }
            None => {
                self.collect(node, path);
                true
            }
        }
    }
}

fn remove(node: &mut Node, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            node.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(next) = node.get_mut(first) {
                remove(next, rest);
            }
        }
    }
}
