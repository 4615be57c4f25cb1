//! The safe layer over Xen: domains, event channels, grants, xenstore, ring.
