//! PID 1 of every guest, and of a container that asks for an init.

#![forbid(unsafe_code)]

fn main() {
    let args: Vec<_> = std::env::args_os().collect();
    if args.first().is_some_and(|name| name == guest_agent::init::NAME) {
        guest_agent::init::run(&args[1..]);
    }
    // There is nobody to give an exit code to: a guest without its agent is over.
    if let Err(failure) = guest_agent::run() {
        guest_agent::kmsg::log(&format!("fatal: {}", failure.message));
    }
    guest_agent::guest::power_off();
}
