//! The command line: verbs, their groups, and what parsing them may say.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::EXIT_HYPER_FAILED;
use crate::verbs::*;

#[derive(Debug, Parser)]
#[command(
    name = "hyper",
    version,
    about = "Containers on Xen, each alone in its own virtual machine"
)]
#[command(
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
#[command(
    after_help = "Docker's longer names work too: hyper container VERB, hyper image VERB, hyper system VERB.\n\n\
    Run 'hyper COMMAND --help' for more information on a command."
)]
pub struct Cli {
    /// Daemon socket to connect to
    #[arg(
        short = 'H',
        long,
        env = "HYPER_HOST",
        value_name = "URL",
        default_value = DEFAULT_HOST
    )]
    host: String,
    /// Show each request
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Print version information and quit
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// An empty `HYPER_HOST` is none.
    pub fn host(&self) -> &str {
        match self.host.as_str() {
            "" => DEFAULT_HOST,
            host => host,
        }
    }
}

const DEFAULT_HOST: &str = "unix:///run/hyper/hyperd.sock";

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    #[command(flatten)]
    Container(Box<ContainerVerb>),
    /// List containers
    Ps(ps::Args),
    /// Get real time events from the server
    Events(events::Args),
    /// Check whether this host can run containers, and what to do if not
    Doctor(doctor::Args),
    /// Return low-level information on containers and images
    Inspect(inspect::Args),
    /// List images
    Images(images::Args),
    /// Download an image from a registry
    Pull(pull::Args),
    /// Upload an image to a registry
    Push(push::Args),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(save::Args),
    /// Load an image from a tar archive or STDIN
    Load(load::Args),
    /// Import the contents from a tarball to create a filesystem image
    Import(import::Args),
    /// Remove one or more images
    Rmi(rmi::Args),
    /// Search a registry for images
    Search(search::Args),
    /// Authenticate to a registry
    Login(login::Args),
    /// Log out from a registry
    Logout(logout::Args),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(tag::Args),
    /// Show the history of an image
    History(history::Args),
    /// Manage floating IPs: addresses of the outside that are containers'
    #[command(subcommand)]
    Fip(fip::Verb),
    /// Manage networks
    #[command(subcommand)]
    Network(network::Verb),
    /// Manage security groups: what containers may send and receive
    #[command(subcommand)]
    Sg(sg::Verb),
    /// Show the hyper version information
    Version(version::Args),
    /// Display system-wide information
    Info(info::Args),
    /// Print the completion script for a shell
    Completion(completion::Args),
    /// Manage containers
    #[command(name = "container", subcommand, hide = true)]
    Containers(ContainerGroup),
    /// Manage images
    #[command(name = "image", subcommand)]
    Image(ImageGroup),
    /// Manage the host
    #[command(subcommand)]
    System(SystemGroup),
}

/// The verbs that are the same below `hyper` and below `hyper container`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ContainerVerb {
    /// Create and run a new container from an image
    #[command(
        disable_help_flag = true,
        override_usage = "hyper run [OPTIONS] IMAGE [COMMAND] [ARG...]"
    )]
    Run(run::Args),
    /// Create a new container
    #[command(
        disable_help_flag = true,
        override_usage = "hyper create [OPTIONS] IMAGE [COMMAND] [ARG...]"
    )]
    Create(create::Args),
    /// Start one or more stopped containers
    Start(start::Args),
    /// Execute a command in a running container
    #[command(
        disable_help_flag = true,
        override_usage = "hyper exec [OPTIONS] CONTAINER COMMAND [ARG...]"
    )]
    Exec(exec::Args),
    /// Attach local standard input, output, and error streams to a running container
    Attach(attach::Args),
    /// Give a container a name for another on a network of both
    Link(link::Args),
    /// Fetch the logs of a container
    Logs(logs::Args),
    /// Stop one or more running containers
    Stop(stop::Args),
    /// Kill one or more running containers
    Kill(kill::Args),
    /// Restart one or more containers
    Restart(restart::Args),
    /// Pause all processes within one or more containers
    Pause(pause::Args),
    /// Unpause all processes within one or more containers
    Unpause(unpause::Args),
    /// List port mappings or a specific mapping for the container
    Port(port::Args),
    /// Rename a container
    Rename(rename::Args),
    /// Remove one or more containers
    #[command(alias = "remove")]
    Rm(rm::Args),
    /// Block until one or more containers stop, then print their exit codes
    Wait(wait::Args),
    /// Copy files/folders between a container and the local filesystem
    #[command(
        override_usage = "hyper cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       hyper cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"
    )]
    Cp(cp::Args),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(diff::Args),
    /// Export a container's filesystem as a tar archive
    Export(export::Args),
    /// Create a new image from a container's changes
    Commit(commit::Args),
    /// Display the running processes of a container
    Top(top::Args),
    /// Display a live stream of container(s) resource usage statistics
    Stats(stats::Args),
    /// Update configuration of one or more containers
    Update(update::Args),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ContainerGroup {
    #[command(flatten)]
    Verb(Box<ContainerVerb>),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Args),
    /// Display detailed information on one or more containers
    Inspect(inspect::Args),
    /// Remove all stopped containers
    Prune(prune::Choice),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ImageGroup {
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Args),
    /// Download an image from a registry
    Pull(pull::Args),
    /// Upload an image to a registry
    Push(push::Args),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(save::Args),
    /// Load an image from a tar archive or STDIN
    Load(load::Args),
    /// Import the contents from a tarball to create a filesystem image
    Import(import::Args),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    /// Remove unused images
    Prune(prune_images::Args),
    /// Read images and check that they are what their digests say
    Verify(verify::Args),
    /// Display detailed information on one or more images
    Inspect(inspect::Args),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(tag::Args),
    /// Show the history of an image
    History(history::Args),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SystemGroup {
    /// Display system-wide information
    Info(info::Args),
    /// Show disk usage
    Df(df::Args),
    /// Get real time events from the server
    Events(events::Args),
    /// Remove unused data
    Prune(prune::SystemArgs),
    /// Stop all containers as a host that shuts down does: restart policies start them with it again
    Halt(halt::Args),
}

/// The command line as people see it. What a verb takes is looked at only once it is the one.
pub fn command() -> Command {
    Cli::command()
}

pub fn parse(arguments: Vec<std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if is_asked_for(error.kind()) => return Err(error),
        // Once more with all of it there, to be changed: a switch may have been given a value.
        Err(_) => {
            let mut all = command();
            all.build();
            lenient(all).try_get_matches_from(&arguments)?
        }
    };
    Cli::from_arg_matches(&matches)
}

/// Not wrong arguments, but a text that somebody wants.
fn is_asked_for(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion
    )
}

/// Lets every switch take a value, as docker's do: `--rm=false`, `-it=true`.
fn lenient(command: Command) -> Command {
    command
        .mut_args(|argument| match argument.get_action() {
            ArgAction::SetTrue => argument
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value("false")
                .overrides_with_all(Vec::<clap::Id>::new()),
            _ => argument,
        })
        .mut_subcommands(lenient)
}

/// Docker: 1 for arguments that are missing or too many and for unknown commands, 125 for flags.
pub fn exit_code(error: &clap::Error) -> i32 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => 0,
        ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::TooFewValues => 1,
        ErrorKind::UnknownArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) if !argument.starts_with('-') => 1,
            _ => EXIT_HYPER_FAILED,
        },
        _ => EXIT_HYPER_FAILED,
    }
}
