//! `visitlog tail`.

use std::process::ExitCode;

use crate::args::TailArgs;

pub(crate) fn tail(args: &TailArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{:?}", args)
}
