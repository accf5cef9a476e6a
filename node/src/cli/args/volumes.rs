//! The words on drives and nodes that come and go: `volume`, `plan`.

use clap::{Args, Subcommand};
use safelight_proto::vocabulary::Site;

use crate::cli::values;

/// `volume`
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// Add a folder on a drive of this machine; one that held shards of this library brings them along
    Add {
        /// The folder, on the machine of the node
        #[arg(value_name = "PATH[,media=ssd][,capacity=4TB]")]
        volume: String,
    },
    /// A drive is back from its travels: read all that is on it and check it
    Checkin {
        /// Its path or id
        volume: String,
    },
    /// Let a volume leave: its shards are brought elsewhere first, and `volumes` says when it can go
    Retire {
        /// Its path or id
        volume: String,
    },
}

/// `plan`
#[derive(Debug, Subcommand)]
pub enum PlanVerb {
    /// If these volumes were added
    Add {
        /// Folders on this machine; ones that there are not yet when media and capacity are given
        #[arg(required = true, value_name = "PATH[,media=ssd][,capacity=4TB]")]
        volumes: Vec<String>,
        /// Where they would be [default: the node's own site]
        #[arg(long, value_parser = values::site)]
        site: Option<Site>,
    },
    /// If a node, a volume or a whole site were lost
    Lose(PlanLoseArgs),
    /// If a node or a volume left in order
    Retire {
        /// A node by name or id, or a volume by path or id
        #[arg(value_name = "NODE|VOLUME")]
        what: String,
    },
}

/// `plan lose`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PlanLoseArgs {
    /// A node by name or id, or a volume by path or id
    #[arg(value_name = "NODE|VOLUME")]
    pub what: Option<String>,
    /// A whole site with all that is there
    #[arg(long, value_parser = values::site)]
    pub site: Option<Site>,
}
