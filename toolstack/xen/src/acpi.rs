//! The ACPI tables of a PVH guest, as xl gives them: RSDP, XSDT, FADT (hardware-reduced), MADT with a local APIC for
//! each vcpu, and an empty DSDT. Without them a PVH kernel finds one processor only.
//!
//! Source: ACPI specification 6.4, chapters 5.2.5 to 5.2.12.

use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};

/// Where the tables lie in the guest: what Xen calls `ACPI_INFO_PHYSICAL_ADDRESS`, clear of RAM and special pages.
pub const ADDRESS: u64 = 0xfc00_0000;

const OEM: [u8; 6] = *b"HYPER ";
const TABLE: [u8; 8] = *b"HYPERXEN";

#[derive(Default)]
struct Bytes(Vec<u8>);

impl AmlSink for Bytes {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut sink = Bytes::default();
    table.to_aml_bytes(&mut sink);
    sink.0
}

/// All tables as one block for [`ADDRESS`], the RSDP first.
pub fn tables(vcpus: u32) -> Vec<u8> {
    // The RSDP has 36 bytes; the tables follow, each aligned to 16.
    let mut block = vec![0; 48];
    let mut place = |table: Vec<u8>| {
        block.resize(block.len().next_multiple_of(16), 0);
        let address = ADDRESS + block.len() as u64;
        block.extend(table);
        address
    };

    let dsdt = place(bytes(&Sdt::new(*b"DSDT", 36, 2, OEM, TABLE, 1)));
    let fadt = FADTBuilder::new(OEM, TABLE, 1)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .finalize();
    let fadt = place(bytes(&fadt));
    let mut madt = MADT::new(OEM, TABLE, 1, LocalInterruptController::Address(0xfee0_0000));
    for vcpu in 0..vcpus {
        // Xen gives vcpu N the APIC id 2N.
        madt.add_structure(ProcessorLocalApic::new(
            vcpu as u8,
            (vcpu * 2) as u8,
            EnabledStatus::Enabled,
        ));
    }
    let madt = place(bytes(&madt));
    let mut xsdt = XSDT::new(OEM, TABLE, 1);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = place(bytes(&xsdt));

    let rsdp = bytes(&Rsdp::new(OEM, xsdt));
    block[..rsdp.len()].copy_from_slice(&rsdp);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn table(block: &[u8], address: u64) -> &[u8] {
        let start = (address - ADDRESS) as usize;
        let length = u32::from_le_bytes(block[start + 4..start + 8].try_into().unwrap()) as usize;
        &block[start..start + length]
    }

    #[test]
    fn every_table_is_reached_and_sums_to_zero() {
        let block = tables(3);
        assert_eq!(&block[..8], b"RSD PTR ");
        assert_eq!(sum(&block[..36]), 0);
        let xsdt = table(&block, u64::from_le_bytes(block[24..32].try_into().unwrap()));
        assert_eq!(&xsdt[..4], b"XSDT");
        assert_eq!(sum(xsdt), 0);
        let names: Vec<_> = xsdt[36..]
            .chunks(8)
            .map(|entry| {
                let table = table(&block, u64::from_le_bytes(entry.try_into().unwrap()));
                assert_eq!(sum(table), 0);
                String::from_utf8_lossy(&table[..4]).into_owned()
            })
            .collect();
        assert_eq!(names, ["FACP", "APIC"]);
    }
}
