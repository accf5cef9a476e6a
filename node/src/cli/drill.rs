//! `drill`: its words, and what they ask of the node.

use clap::Args;
use safelight_proto::vocabulary::Site;

use super::values;
use crate::admin::command::{Command, Extent};

/// `drill`
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// Do as if this site were gone
    #[arg(long, value_name = "SITE", value_parser = values::site)]
    pub without: Site,
    /// Rebuild so many files, by chance, spread over shoots and rolls [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
    pub sample: Option<u64>,
    /// Rebuild every file
    #[arg(long)]
    pub all: bool,
}

impl From<DrillArgs> for Command {
    fn from(args: DrillArgs) -> Self {
        let extent = match (args.all, args.sample) {
            (true, _) => Extent::All,
            (false, sample) => sample.map_or_else(Extent::default, Extent::Sample),
        };
        Self::Drill { without: args.without.name().to_owned(), extent }
    }
}
