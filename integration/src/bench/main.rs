//! `scripts/bench`: what our part of a guest's start costs, against Xen's own tools in the same lab and the same run; and
//! what images cost, against other tools on the same machine.
//!
//! Times under emulation mean nothing by themselves, so each round measures both sides one after the other, and what is
//! printed is the ratio of each round's two: median, least, most.
#![forbid(unsafe_code)]

mod create;
mod device;
mod figures;
mod images;
mod lab;
mod net;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Benchmarks on a real Xen in the lab
#[derive(Parser)]
#[command(name = "scripts/bench", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Guest creation against `xl create -p`, and `hyper run` against a bare boot of the same kernel
    Create {
        /// How often each is measured
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Only this type of guest: pv or pvh
        #[arg(long = "type", value_name = "TYPE", value_parser = ["pv", "pvh"])]
        guest_type: Option<String>,
    },
    /// Putting together the device of an image's root against `losetup` and `dmsetup`
    Device {
        /// How often each is measured
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
    /// Ingest and index of an image against plain decompression, umoci, and skopeo with mkfs.erofs; needs no lab, but root
    Images {
        /// How often each is measured
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
    /// TCP traffic of guests, and attaching an interface, against guests of `xl` on a bridge of Debian's scripts
    Net {
        /// How often each is measured
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().what {
        What::Create { rounds, guest_type } => {
            let types = guest_type.map_or_else(|| vec!["pv".to_owned(), "pvh".to_owned()], |one| vec![one]);
            create::run(rounds, &types)
        }
        What::Device { rounds } => device::run(rounds),
        What::Images { rounds } => images::run(rounds),
        What::Net { rounds } => net::run(rounds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
