//! Builds guests and destroys them again, for measuring and for trying a host: the toolstack's part of a start alone.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;
use xen::{
    BlockDevice, Disk, DiskMode, DomainConfig, DomainState, GuestType, Host, Kernel, Link, LoopDevice, Nic,
};

const USAGE: &str = "usage: create [--type pv|pvh] [--kernel FILE] [--initramfs FILE] [--memory MIB] [--vcpus N] [--cmdline TEXT]
              [--disk FILE]... [--bridge NAME] [--count N] [--run | --offer]
  --run     unpause each guest and wait until it shuts down; otherwise it is destroyed as built, paused
  --offer   unpause each guest and wait until its agent offers the link";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run()));
    if let Err(error) = result {
        let mut cause = error.source();
        eprint!("create: {error}");
        while let Some(error) = cause {
            eprint!(": {error}");
            cause = error.source();
        }
        eprintln!();
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut guest_type = GuestType::Pvh;
    let (mut kernel, mut initramfs) = (
        PathBuf::from("/usr/lib/hyper/vmlinux"),
        PathBuf::from("/usr/lib/hyper/initramfs"),
    );
    let (mut memory_mib, mut vcpus, mut count) = (128, 1, 1);
    let mut cmdline = "console=hvc0".to_owned();
    let (mut files, mut bridge) = (Vec::new(), None);
    let (mut run, mut offer) = (false, false);
    let mut args: VecDeque<String> = std::env::args().skip(1).collect();
    while let Some(flag) = args.pop_front() {
        let mut value = || args.pop_front().ok_or(USAGE);
        match flag.as_str() {
            "--type" => guest_type = value()?.parse()?,
            "--kernel" => kernel = value()?.into(),
            "--initramfs" => initramfs = value()?.into(),
            "--memory" => memory_mib = value()?.parse()?,
            "--vcpus" => vcpus = value()?.parse()?,
            "--cmdline" => cmdline = value()?,
            "--disk" => files.push(PathBuf::from(value()?)),
            "--bridge" => bridge = Some(value()?),
            "--count" => count = value()?.parse()?,
            "--run" => run = true,
            "--offer" => offer = true,
            _ => return Err(USAGE.into()),
        }
    }

    let host = Host::open().await?;
    let kernel = Arc::new(Kernel::read(&kernel, &initramfs)?);
    for _ in 0..count {
        let started = Instant::now();
        let disks = files
            .iter()
            .map(|file| {
                Ok(Disk {
                    device: BlockDevice::Loop(Arc::new(LoopDevice::attach(file, false)?)),
                    mode: DiskMode::ReadWrite,
                })
            })
            .collect::<Result<_, xen::LoopError>>()?;
        let uuid = Uuid::new_v4();
        let nics = bridge
            .iter()
            .map(|bridge| Nic {
                mac: [0, 0x16, 0x3e, 0, 0, 1],
                bridge: bridge.clone(),
                mtu: None,
                bytes_per_second: None,
            })
            .collect();
        let name = format!("create-{}", &uuid.to_string()[..8]);
        let config = DomainConfig {
            uuid,
            name,
            guest_type,
            memory_mib,
            vcpus,
            cmdline: cmdline.clone(),
            kernel: Arc::clone(&kernel),
            disks,
            nics,
        };
        let before = host.store().round_trips();
        let domain = host.create(config).await?;
        let created = started.elapsed();
        let round_trips = host.store().round_trips() - before;
        let unpaused = Instant::now();
        if run {
            let mut released = host.store().watch("@releaseDomain").await?;
            domain.unpause().await?;
            while domain.state().await? == DomainState::Alive && released.changed().await {}
        }
        if offer {
            domain.unpause().await?;
            Link::accept(&host, domain.domid()).await?;
        }
        let ran = unpaused.elapsed();
        let timings = domain.timings;
        let started = Instant::now();
        for error in domain.destroy().await {
            eprintln!("create: {error}");
        }
        println!(
            "create_us={} build_us={} store_us={} devices_us={} round_trips={round_trips} run_us={} destroy_us={}",
            created.as_micros(),
            timings.build.as_micros(),
            timings.store.as_micros(),
            timings.devices.as_micros(),
            ran.as_micros(),
            started.elapsed().as_micros()
        );
    }
    Ok(())
}
