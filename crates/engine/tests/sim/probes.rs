//! What was really reached, so that no scary state is only imagined.

use visitlog_testkit::DiskProbes;

macro_rules! probes {
    ($($name:ident),* $(,)?) => {
        /// How often each state was reached.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(crate) struct Probes {
            $(pub(crate) $name: u64,)*
        }

        impl Probes {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// By name.
            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

probes!(
    answers,
    not_durable,
    refused_calls,
    starts,
    delivered,
    power_cuts,
    kills,
    torn_writes,
    reordered_writes,
    lost_creations,
    lost_removals,
    failed_syncs,
    failed_folder_syncs,
    no_space,
    io_errors,
    carried_sessions,
    collected_segments,
    crashes_while_carrying,
    rotations_beyond_expiry,
    gone,
    clock_jumps_forward,
    clock_jumps_back,
    long_gaps,
    twins_joined,
    cookieless_shares,
    brought_along,
    sink_failures,
    parked_backlogs,
    redelivered,
    recovery_cuts,
    new_epochs,
    failed_recoveries,
    sessions_recovered,
    ends_at_recovery,
    superseded,
    evicted,
    outdated_tokens,
    final_tokens_replayed,
    overdue_at_request,
    exactly_on_time,
    flipped_bits,
    ends_followed,
    tail_restarts,
);

impl Probes {
    pub(crate) fn add_disk(&mut self, disk: &DiskProbes) {
        self.power_cuts += disk.power_cuts;
        self.kills += disk.kills;
        self.torn_writes += disk.torn_pages;
        self.reordered_writes += disk.reordered;
        self.lost_creations += disk.lost_creations;
        self.lost_removals += disk.lost_removals;
        self.failed_syncs += disk.failed_syncs;
        self.failed_folder_syncs += disk.failed_dir_syncs;
        self.no_space += disk.full;
        self.io_errors += disk.io_errors;
    }
}
