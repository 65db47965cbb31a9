//! What every store owes, asked of the machine alone.

/// As it is.
mod as_is {
    use visitlog_testkit::conformance::MemoryUnderTest;
    visitlog_testkit::conformance_suite!(MemoryUnderTest, Never);
}

/// With a restart behind each step.
mod restarted {
    use visitlog_testkit::conformance::MemoryUnderTest;
    visitlog_testkit::conformance_suite!(MemoryUnderTest, AfterEachStep);
}
