//! The project as `docker compose config --format json` prints it.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Project;
use crate::scalar::rfc3339;
use crate::text::json_float;
use crate::tree::{Node, Value};

/// A value that JSON has no form for, as Compose writes it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unprintable(String);

impl Project {
    /// The printed model. Each `$` is doubled, in keys too, so that it could be loaded again.
    ///
    /// # Errors
    /// `build.ssh` with a path, and a number under `x-` that is infinite: Compose cannot print them either.
    pub fn to_json(&self) -> Result<Json, Unprintable> {
        let mut root = Map::new();
        root.insert("name".to_owned(), Json::from(self.name.as_str()));
        root.insert("services".to_owned(), printed(&self.services)?);
        let mut add = |key: &str, empty: bool, value: Result<Json, Unprintable>| {
            if !empty {
                root.insert(key.to_owned(), value?);
            }
            Ok(())
        };
        add("networks", self.networks.is_empty(), printed(&self.networks))?;
        add("volumes", self.volumes.is_empty(), printed(&self.volumes))?;
        add("secrets", self.secrets.is_empty(), printed(&self.secrets))?;
        add("configs", self.configs.is_empty(), printed(&self.configs))?;
        for (key, value) in &self.extensions {
            add(key, false, plain(value))?;
        }
        Ok(doubled(Json::Object(root)))
    }
}

fn printed(value: &impl Serialize) -> Result<Json, Unprintable> {
    serde_json::to_value(value).map_err(|error| Unprintable(error.to_string()))
}

/// A value of the tree as it is.
fn plain(node: &Node) -> Result<Json, Unprintable> {
    Ok(match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(number), _) => Json::from(number),
            (Err(_), Ok(number)) => Json::from(number),
            (Err(_), Err(_)) => json_float(*number as f64),
        },
        Value::Float(number) if number.is_finite() => json_float(*number),
        Value::Float(number) => return Err(Unprintable(format!("{number} has no form in JSON"))),
        Value::String(text) => Json::from(text.as_str()),
        Value::Time(text) => Json::from(rfc3339(text)),
        Value::Seq(items) => Json::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                object.insert(key.as_str().to_owned(), plain(value)?);
            }
            Json::Object(object)
        }
    })
}

fn doubled(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace('$', "$$")),
        Json::Array(items) => Json::Array(items.into_iter().map(doubled).collect()),
        Json::Object(map) => {
            Json::Object(map.into_iter().map(|(key, value)| (key.replace('$', "$$"), doubled(value))).collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value,
    }
}
