//! Raw bindings to Xen's libraries, made by bindgen from the headers of each supported release and opened at run time.
//!
//! `libxenctrl` and `libxenguest` change their ABI with every release of Xen, so there is a module for each;
//! the others are [`stable`]. Nothing here is safe to call without knowing Xen: the crate `xen` is the layer to use.
//! `scripts/bindings` makes these files, `scripts/bindings --check` says whether they are what the headers give.

/// What bindgen's output is held to is the compiler, not our taste.
macro_rules! generated {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[allow(
            clippy::all,
            clippy::undocumented_unsafe_blocks,
            dead_code,
            missing_docs,
            non_camel_case_types,
            non_snake_case,
            non_upper_case_globals,
            rust_2018_idioms,
            unnecessary_transmutes
        )]
        #[rustfmt::skip]
        pub mod $name;
    };
}

generated! {
    /// Xen 4.17: `libxenctrl.so.4.17` and `libxenguest.so.4.17`.
    v4_17
}
generated! {
    /// Xen 4.20: `libxenctrl.so.4.20` and `libxenguest.so.4.20`.
    v4_20
}
generated! {
    /// What is stable: the libraries `libxenevtchn.so.1` and `libxengnttab.so.1`, and xenstore's messages.
    stable
}

pub use libloading::Error as LoadError;
