//! `hyper`: the command line of Hyper for Xen. A client of the Docker Engine API and its extension, nothing else.

#![forbid(unsafe_code)]

mod cli;
mod client;
mod copy;
mod credentials;
mod download;
mod env_file;
mod error;
mod json_lines;
mod options;
mod output;
mod progress;
mod session;
mod signals;
mod stdio;
mod table;
mod target;
mod template;
mod terminal;
mod time;
mod units;
mod upload;
mod verbs;

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cli::{Cli, ContainerGroup, ContainerVerb, ImageGroup, SystemGroup, Verb};
use crate::client::Client;
use crate::error::{EXIT_BROKEN_PIPE, is_broken_pipe, is_unreachable};
use crate::output::complain;
use crate::verbs::inspect::Kind;
use crate::verbs::*;

fn main() {
    let code = match cli::parse(std::env::args_os().collect()) {
        Ok(cli) => run(cli).unwrap_or_else(|error| report(&error)),
        Err(error) => {
            // Nothing can be told to a stderr that is closed.
            let _ = error.print();
            cli::exit_code(&error)
        }
    };
    // Not a return: a thread may still wait for a key on stdin.
    std::process::exit(code);
}

fn run(cli: Cli) -> Result<i32> {
    // One thread: the bytes of stdio have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let code = runtime.block_on(dispatch(cli));
    runtime.shutdown_background();
    code
}

fn report(error: &anyhow::Error) -> i32 {
    if is_broken_pipe(error) {
        return EXIT_BROKEN_PIPE;
    }
    if is_unreachable(error) {
        complain!("hyper: {error:#}");
    } else {
        complain!("{error:#}");
    }
    1
}

async fn dispatch(cli: Cli) -> Result<i32> {
    if let Verb::Completion(args) = &cli.verb {
        return completion::run(args);
    }
    let client = Arc::new(Client::new(cli.host(), cli.debug)?);
    match cli.verb {
        Verb::Container(verb) => container(&client, *verb).await,
        Verb::Images(args) => images::run(&client, args).await,
        Verb::Pull(args) => pull::run(&client, args).await,
        Verb::Push(args) => push::run(&client, args).await,
        Verb::Search(args) => search::run(&client, args).await,
        Verb::Save(args) => save::run(&client, args).await,
        Verb::Load(args) => load::run(&client, args).await,
        Verb::Import(args) => import::run(&client, args).await,
        Verb::Rmi(args) => rmi::run(&client, args).await,
        Verb::Login(args) => login::run(&client, args).await,
        Verb::Logout(args) => logout::run(&args),
        Verb::Tag(args) => tag::run(&client, args).await,
        Verb::History(args) => history::run(&client, args).await,
        Verb::Ps(args) => ps::run(&client, args).await,
        Verb::Events(args) => events::run(&client, args).await,
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Inspect(args) => inspect::run(&client, args).await,
        Verb::Fip(verb) => fip::run(&client, verb).await,
        Verb::Network(verb) => network::run(&client, verb).await,
        Verb::Sg(verb) => sg::run(&client, verb).await,
        Verb::Version(args) => version::run(&client, args).await,
        Verb::Info(args) => info::run(&client, args).await,
        Verb::Completion(args) => completion::run(&args),
        Verb::Containers(group) => match group {
            ContainerGroup::Verb(verb) => container(&client, *verb).await,
            ContainerGroup::Ls(args) => ps::run(&client, args).await,
            ContainerGroup::Prune(args) => prune::containers(&client, args).await,
            ContainerGroup::Inspect(args) => inspect::run(&client, args.of_kind(Kind::Container)).await,
        },
        Verb::Image(group) => match group {
            ImageGroup::Ls(args) => images::run(&client, args).await,
            ImageGroup::Pull(args) => pull::run(&client, args).await,
            ImageGroup::Push(args) => push::run(&client, args).await,
            ImageGroup::Save(args) => save::run(&client, args).await,
            ImageGroup::Load(args) => load::run(&client, args).await,
            ImageGroup::Import(args) => import::run(&client, args).await,
            ImageGroup::Rm(args) => rmi::run(&client, args).await,
            ImageGroup::Verify(args) => verify::run(&client, args).await,
            ImageGroup::Prune(args) => prune_images::run(&client, args).await,
            ImageGroup::Inspect(args) => inspect::run(&client, args.of_kind(Kind::Image)).await,
            ImageGroup::Tag(args) => tag::run(&client, args).await,
            ImageGroup::History(args) => history::run(&client, args).await,
        },
        Verb::System(SystemGroup::Info(args)) => info::run(&client, args).await,
        Verb::System(SystemGroup::Df(args)) => df::run(&client, args).await,
        Verb::System(SystemGroup::Events(args)) => events::run(&client, args).await,
        Verb::System(SystemGroup::Prune(args)) => prune::system(&client, args).await,
        Verb::System(SystemGroup::Halt(args)) => halt::run(&client, args).await,
    }
}

async fn container(client: &Arc<Client>, verb: ContainerVerb) -> Result<i32> {
    match verb {
        ContainerVerb::Run(args) => run::run(client, args).await,
        ContainerVerb::Create(args) => create::run(client, args).await,
        ContainerVerb::Start(args) => start::run(client, args).await,
        ContainerVerb::Exec(args) => exec::run(client, args).await,
        ContainerVerb::Attach(args) => attach::run(client, args).await,
        ContainerVerb::Link(args) => link::run(client, args).await,
        ContainerVerb::Logs(args) => logs::run(client, args).await,
        ContainerVerb::Stop(args) => stop::run(client, args).await,
        ContainerVerb::Kill(args) => kill::run(client, args).await,
        ContainerVerb::Restart(args) => restart::run(client, args).await,
        ContainerVerb::Pause(args) => pause::run(client, args).await,
        ContainerVerb::Unpause(args) => unpause::run(client, args).await,
        ContainerVerb::Port(args) => port::run(client, args).await,
        ContainerVerb::Rename(args) => rename::run(client, args).await,
        ContainerVerb::Rm(args) => rm::run(client, args).await,
        ContainerVerb::Wait(args) => wait::run(client, args).await,
        ContainerVerb::Cp(args) => cp::run(client, args).await,
        ContainerVerb::Diff(args) => diff::run(client, args).await,
        ContainerVerb::Export(args) => export::run(client, args).await,
        ContainerVerb::Commit(args) => commit::run(client, args).await,
        ContainerVerb::Top(args) => top::run(client, args).await,
        ContainerVerb::Stats(args) => stats::run(client, args).await,
        ContainerVerb::Update(args) => update::run(client, args).await,
    }
}
