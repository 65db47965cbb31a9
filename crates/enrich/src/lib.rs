//! Country, browser, bot, referrer and channel, from the raw facts of a visit.
