//! The lab: a real Xen host in QEMU, the tests and benchmarks that run on it.
