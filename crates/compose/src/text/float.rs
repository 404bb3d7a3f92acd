//! Floats as JSON.

/// A float as a JSON number: without a fraction when it has none.
pub(crate) fn json_float(number: f64) -> serde_json::Value {
    // whole numbers below 2^53 are exact both ways
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return serde_json::Value::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}
