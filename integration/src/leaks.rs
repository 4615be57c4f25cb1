//! What is left in dom0 when nothing should be.

use crate::lab::Lab;
use anyhow::Result;

/// Prints one line for each thing that a container leaves while it exists. The shell itself does what it can: a process
/// costs a tenth of a second in emulation.
const SCRIPT: &str = r#"
shopt -s nullglob dotglob
say() {
    local kind=$1 thing
    shift
    for thing; do echo "$kind $thing"; done
}
while read -r name id _; do
    [[ $id != [1-9]* ]] || say domain "$id $name"
done < <(xl list)
for file in /sys/block/loop*/loop/backing_file; do
    say 'loop device' "${file//[!0-9]/} $(< "$file")"
done
say device /sys/block/dm-*
say interface /sys/class/net/vif*
say bridge /sys/class/net/hyper-*
say file /var/lib/hyper/containers/* /var/lib/hyper/images/tmp/*
# No more than the place of each domain, backend and container.
places='/local/domain/[1-9][^/]*|/local/domain/0/backend/(vbd|vif|console)/[^/]*|/(vm|libxl|hyper/containers)/[^/]*'
while read -r node _; do
    [[ ! $node =~ ^($places)$ || $node = /vm/00000000-0000-0000-0000-000000000000 ]] || say xenstore "$node"
done < <(xenstore-ls -f)
while read -r word rest; do
    [[ $word != elements || $rest != *vif* ]] || say 'rule of' "$rest"
done < <(nft list set bridge hyper guests)
"#;

/// Everything of any container that dom0 still has; empty when all are removed.
pub fn leaks(lab: &Lab) -> Result<Vec<String>> {
    Ok(lab
        .script(&format!("{SCRIPT}\ntrue"))?
        .lines()
        .map(str::to_owned)
        .collect())
}
