//! Moments in answers.

/// RFC 3339, in UTC; nothing where the calendar ends.
pub(super) fn moment(millis: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(millis).ok().map(|moment| moment.to_string())
}
