//! Whether arguments can be meant for a tool, before anybody decides about the call.
//!
//! ```
//! use steward_gateway::check_arguments;
//! let schema = serde_json::json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
//! assert!(check_arguments(&schema, &serde_json::json!({"id": "a"})).is_ok());
//! assert_eq!(check_arguments(&schema, &serde_json::json!({})).unwrap_err(), "`id` is missing; add it");
//! ```
//!
//! It spares a model the way to the server and back for the commonest mistakes. The server checks for itself.
//!
//! Deliberately absent: the rest of JSON Schema. What is not understood here passes.

use serde_json::{Map, Value};
use steward_naming::visible;

/// Checks that the arguments are an object, that what is required is there, that nothing else is there if the schema says so,
/// and that each has a type that the schema allows.
///
/// # Errors
/// What is wrong and what to do, for the model that wrote them.
pub fn check_arguments(schema: &Value, arguments: &Value) -> Result<(), String> {
    let Value::Object(arguments) = arguments else {
        return Err(format!("the arguments are {}; write an object", kind(arguments)));
    };
    let nothing = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if !arguments.contains_key(name) {
            return Err(format!("`{}` is missing; add it", visible(name)));
        }
    }
    // What a pattern allows is not known here.
    let is_closed =
        schema.get("additionalProperties") == Some(&Value::Bool(false)) && schema.get("patternProperties").is_none();
    for (name, value) in arguments {
        match properties.get(name) {
            None if is_closed => {
                return Err(format!(
                    "`{}` is not known to this tool; leave it out{}",
                    visible(name),
                    known(properties)
                ));
            }
            Some(Value::Bool(false)) => return Err(format!("`{}` is not allowed; leave it out", visible(name))),
            Some(property) => check_type(name, property, value)?,
            None => {}
        }
    }
    Ok(())
}

fn check_type(name: &str, property: &Value, value: &Value) -> Result<(), String> {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    if types.is_empty() || types.iter().any(|one| is_of(value, one)) {
        return Ok(());
    }
    Err(format!("`{}` is {}; write {}", visible(name), kind(value), visible(&types.join(" or "))))
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The names that there are, as far as a message holds them.
fn known(properties: &Map<String, Value>) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    format!(", or write one of: {}", visible(&names.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check_arguments;

    #[test]
    fn common_mistakes_are_told() {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": ["number", "null"]}, "any": {}, "ref": {"$ref": "#/a"},
                "yes": true, "no": false, "odd": {"type": "date"}, "none": {"type": []},
            },
            "required": ["id"],
            "additionalProperties": false,
        });
        for arguments in [
            json!({"id": ""}),
            json!({"id": "a", "n": 1, "x": 1.5, "any": [], "ref": 7, "yes": {}, "odd": 1, "none": 1}),
            json!({"id": "a", "n": 1.0, "x": null}),
        ] {
            assert_eq!(check_arguments(&schema, &arguments), Ok(()), "{arguments}");
        }
        for (arguments, message) in [
            (json!([]), "the arguments are an array; write an object"),
            (json!(null), "the arguments are null; write an object"),
            (json!({}), "`id` is missing; add it"),
            (json!({"id": 7}), "`id` is a number; write string"),
            (json!({"id": null}), "`id` is null; write string"),
            (json!({"id": "", "n": 1.5}), "`n` is a number; write integer"),
            (json!({"id": "", "x": "1"}), "`x` is a string; write number or null"),
            (json!({"id": "", "no": 1}), "`no` is not allowed; leave it out"),
            (
                json!({"id": "", "i\u{200b}d": 1}),
                "`i\\u{200b}d` is not known to this tool; leave it out, or write one of: any, id, n, no, none, odd, ref, x, yes",
            ),
        ] {
            assert_eq!(check_arguments(&schema, &arguments).unwrap_err(), message);
        }
    }

    #[test]
    fn what_is_not_understood_passes() {
        for schema in [
            json!({}),
            json!(true),
            json!({"properties": 7, "required": "id"}),
            json!({"additionalProperties": false, "patternProperties": {"^a": {}}}),
        ] {
            assert_eq!(check_arguments(&schema, &json!({"a": 1})), Ok(()), "{schema}");
        }
        assert!(check_arguments(&json!({"additionalProperties": false}), &json!({"a": 1})).is_err());
    }
}
