//! What every store owes, asked of the engine, on a disk in memory and without threads.
//!
//! Ended visits are taken as a sink takes them, and acknowledged, so that old segments go and a restart has what stands
//! in bases and carried chains. A restart is a `kill -9`: what was not written is lost.

mod under_test;

/// As it is.
mod as_is {
    use crate::under_test::EngineUnderTest;
    visitlog_testkit::conformance_suite!(EngineUnderTest, Never);
}

/// With a restart behind each step.
mod restarted {
    use crate::under_test::EngineUnderTest;
    visitlog_testkit::conformance_suite!(EngineUnderTest, AfterEachStep);
}
