//! Raw bindings to the libraries of the running Xen, opened at run time.
