//! How many addresses a model can register.

/// Most registered addresses by model, from the vendor's table.
const BY_MODEL: [(&str, usize); 14] = [
    ("PA-5450", 100_000),
    ("PA-3430", 200_000),
    ("PA-3440", 200_000),
    // With the newer management card it is 500,000, which the model does not tell.
    ("PA-7050", 100_000),
    ("PA-7080", 100_000),
    ("PA-450", 100_000),
    ("PA-460", 100_000),
    ("PA-820", 1_000),
    ("PA-410", 1_000),
    ("PA-220", 1_000),
    ("VM-300", 200_000),
    ("VM-500", 300_000),
    ("VM-700", 300_000),
    ("VM-50", 1_000),
];

/// The same for whole series: two more digits follow.
const BY_SERIES: [(&str, usize); 3] = [("PA-54", 500_000), ("PA-52", 500_000), ("PA-32", 200_000)];

/// Most registered addresses of a model; `None` for those that the vendor's table does not name.
pub(super) fn by_model(model: &str) -> Option<usize> {
    let series = |(start, _): &&(&str, usize)| {
        model
            .strip_prefix(start)
            .is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    BY_MODEL
        .iter()
        .find(|(name, _)| model == *name)
        .or_else(|| BY_SERIES.iter().find(series))
        .map(|(_, limit)| *limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_goes_by_model() {
        for (model, limit) in [
            ("PA-5450", Some(100_000)),
            ("PA-5410", Some(500_000)),
            ("PA-3260", Some(200_000)),
            ("VM-50", Some(1_000)),
            ("VM-500", Some(300_000)),
            ("PA-440", None),
            ("PA-850", None),
        ] {
            assert_eq!(by_model(model), limit, "{model}");
        }
    }
}
