//! What is left in dom0 when nothing should be.

use crate::lab::Lab;
use anyhow::Result;

/// Prints one line for each thing that a container leaves while it exists.
const SCRIPT: &str = r#"
xl list | awk 'NR > 1 && $2 != 0 { print "domain " $2 " " $1 }'
losetup -l -n -O NAME,BACK-FILE | sed 's/^/loop device /'
ls /sys/block | grep '^dm-' | sed 's/^/device /'
ip -o link | awk -F': ' '$2 ~ /^vif/ { print "interface " $2 }'
xenstore-list /local/domain 2>/dev/null | grep -v '^0$' | sed 's|^|xenstore /local/domain/|'
xenstore-list /vm 2>/dev/null | while read -r vm; do
    [ "$vm" = 00000000-0000-0000-0000-000000000000 ] || echo "xenstore /vm/$vm"
done
for kind in vbd vif console; do
    xenstore-ls -f /local/domain/0/backend/$kind 2>/dev/null | sed "s|^|xenstore |" | head -3
done
xenstore-list /hyper/containers 2>/dev/null | sed 's|^|xenstore /hyper/containers/|'
ls /var/lib/hyper/containers 2>/dev/null | sed 's|^|file /var/lib/hyper/containers/|'
ip -o link | awk -F': ' '$2 ~ /^hyper-/ { print "bridge " $2 }'
nft list sets 2>/dev/null | grep -A9 'set guests' | grep -o 'vif[0-9.]*' | sed 's/^/rule of /'
find /var/lib/hyper/images/tmp -mindepth 1 2>/dev/null | sed 's|^|file |'
xenstore-list /libxl 2>/dev/null | sed 's|^|xenstore /libxl/|'
"#;

/// Everything of any container that dom0 still has; empty when all are removed.
pub fn leaks(lab: &Lab) -> Result<Vec<String>> {
    Ok(lab
        .script(&format!("{SCRIPT}\ntrue"))?
        .lines()
        .map(str::to_owned)
        .collect())
}
