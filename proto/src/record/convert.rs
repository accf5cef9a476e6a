//! Between the generated messages and the checked bodies. Every bound of a body is enforced here, on the way in.

use std::collections::BTreeSet;

use super::*;
use crate::id::{CodingId, Hash, RollId, ShootId, VolumeId};
use crate::schema;
use crate::schema::claim::Body as Wire;
use crate::vocabulary::{Media, Role, Rule, Site};

type Result<T> = std::result::Result<T, RecordError>;

pub(super) fn to_schema(body: &Body) -> Wire {
    match body {
        Body::Founding(b) => Wire::Founding(schema::Founding { reading_public: b.reading_public.to_vec() }),
        Body::Admit(b) => Wire::Admit(schema::Admit {
            node: b.node.0.to_vec(),
            role: role_to_schema(b.role) as i32,
            site: b.site.name().to_owned(),
        }),
        Body::Delegate(b) => Wire::Delegate(schema::Delegate { node: b.node.0.to_vec() }),
        Body::Node(b) => Wire::Node(schema::Node { name: b.name.clone(), addresses: b.addresses.clone() }),
        Body::Volume(b) => Wire::Volume(volume_to_schema(b)),
        Body::Roll(b) => Wire::Roll(roll_to_schema(b)),
        Body::Coding(b) => Wire::Coding(schema::Coding {
            roll: b.roll.0.to_vec(),
            coding: b.coding.0.to_vec(),
            k: b.k.into(),
            unit: b.unit,
            shard_bytes: b.shard_bytes,
            shards: b.shards.iter().map(|hash| hash.0.to_vec()).collect(),
        }),
        Body::Layout(b) => Wire::Layout(schema::Layout {
            roll: b.roll.0.to_vec(),
            coding: b.coding.0.to_vec(),
            volumes: b.volumes.iter().map(|volume| volume.0.to_vec()).collect(),
        }),
        Body::Holding(b) => Wire::Holding(schema::Holding {
            roll: b.roll.0.to_vec(),
            volume: b.volume.0.to_vec(),
            held: b.held.iter().map(|(coding, indexes)| held_to_schema(coding, indexes)).collect(),
        }),
        Body::Audit(b) => Wire::Audit(schema::Audit {
            roll: b.roll.0.to_vec(),
            volume: b.volume.0.to_vec(),
            passed: b.passed,
            holding: b.holding.0.to_vec(),
        }),
        Body::Rule(b) => Wire::Rule(schema::Rule {
            shoot: b.shoot.map(|shoot| shoot.0.to_vec()).unwrap_or_default(),
            copies: b.rule.copies.into(),
            media: b.rule.media.into(),
            offsite: b.rule.offsite.into(),
            full: b.rule.full,
            spend: b.rule.spend.unwrap_or(0),
        }),
        Body::Lost(b) => Wire::Lost(schema::Lost { node: b.node.0.to_vec(), lost: b.lost }),
        Body::Head(b) => Wire::Head(schema::Head { records: b.records, fingerprint: b.fingerprint.to_vec() }),
        Body::Trash(b) => {
            Wire::Trash(schema::Trash { roll: b.roll.0.to_vec(), all: b.all, hidden: bits_of(&b.hidden) })
        }
        Body::Scrubbed(b) => {
            Wire::Scrubbed(schema::Scrubbed { volume: b.volume.0.to_vec(), shards: b.shards, bad: b.bad })
        }
        Body::Retired(b) => {
            let (node, volume) = match b.what {
                Leaver::Node(node) => (node.0.to_vec(), Vec::new()),
                Leaver::Volume(volume) => (Vec::new(), volume.0.to_vec()),
            };
            Wire::Retired(schema::Retired { node, volume, retired: b.retired })
        }
        Body::Seeding(b) => Wire::Seeding(schema::Seeding {
            node: b.node.0.to_vec(),
            at: b.at.as_ref().map(|site| site.name().to_owned()).unwrap_or_default(),
        }),
        Body::Drill(b) => Wire::Drill(drill_to_schema(b)),
        Body::Remove(b) => Wire::Remove(schema::Remove { node: b.node.0.to_vec() }),
        Body::Adopt(b) => Wire::Adopt(b.to_schema()),
    }
}

pub(super) fn from_schema(body: Wire) -> Result<Body> {
    Ok(match body {
        Wire::Founding(b) => {
            Body::Founding(Founding { reading_public: array(&b.reading_public, "reading key")? })
        }
        Wire::Admit(b) => Body::Admit(Admit {
            node: NodeId::from_slice(&b.node)?,
            role: role_from_schema(b.role)?,
            site: Site::new(&b.site).ok_or(RecordError::Bounds("site"))?,
        }),
        Wire::Delegate(b) => Body::Delegate(Delegate { node: NodeId::from_slice(&b.node)? }),
        Wire::Node(b) => Body::Node(node_from_schema(b)?),
        Wire::Volume(b) => Body::Volume(volume_from_schema(b)?),
        Wire::Roll(b) => Body::Roll(roll_from_schema(b)?),
        Wire::Coding(b) => Body::Coding(coding_from_schema(b)?),
        Wire::Layout(b) => {
            within(b.volumes.len(), usize::from(limit::N_MAX), "number of volumes")?;
            Body::Layout(Layout {
                roll: RollId::from_slice(&b.roll)?,
                coding: CodingId::from_slice(&b.coding)?,
                volumes: each(&b.volumes, VolumeId::from_slice)?,
            })
        }
        Wire::Holding(b) => Body::Holding(Holding {
            roll: RollId::from_slice(&b.roll)?,
            volume: VolumeId::from_slice(&b.volume)?,
            held: b.held.into_iter().map(held_from_schema).collect::<Result<_>>()?,
        }),
        Wire::Audit(b) => Body::Audit(Audit {
            roll: RollId::from_slice(&b.roll)?,
            volume: VolumeId::from_slice(&b.volume)?,
            holding: RecordId::from_slice(&b.holding)?,
            passed: b.passed,
        }),
        Wire::Rule(b) => Body::Rule(rule_from_schema(b)?),
        Wire::Lost(b) => Body::Lost(Lost { node: NodeId::from_slice(&b.node)?, lost: b.lost }),
        Wire::Head(b) => {
            Body::Head(Head { records: b.records, fingerprint: array(&b.fingerprint, "fingerprint")? })
        }
        Wire::Trash(b) => {
            within(b.hidden.len(), limit::ENTRIES_MAX / 8, "number of deleted files")?;
            let roll = RollId::from_slice(&b.roll)?;
            Body::Trash(Trash { roll, all: b.all, hidden: places_of(&b.hidden) })
        }
        Wire::Scrubbed(b) => Body::Scrubbed(Scrubbed {
            volume: VolumeId::from_slice(&b.volume)?,
            shards: b.shards,
            bad: b.bad,
        }),
        Wire::Retired(b) => {
            let what = match (b.node.as_slice(), b.volume.as_slice()) {
                (node, []) => Leaver::Node(NodeId::from_slice(node)?),
                ([], volume) => Leaver::Volume(VolumeId::from_slice(volume)?),
                _ => return Err(RecordError::Bounds("leaver")),
            };
            Body::Retired(Retired { what, retired: b.retired })
        }
        Wire::Seeding(b) => {
            Body::Seeding(Seeding { node: NodeId::from_slice(&b.node)?, at: site_or_none(&b.at)? })
        }
        Wire::Drill(b) => Body::Drill(drill_from_schema(b)?),
        Wire::Remove(b) => Body::Remove(Remove { node: NodeId::from_slice(&b.node)? }),
        Wire::Adopt(b) => Body::Adopt(Adopt::from_schema(b)?),
    })
}

fn node_from_schema(b: schema::Node) -> Result<NodeInfo> {
    let name_fits = !b.name.is_empty() && !b.name.chars().any(char::is_control);
    within(b.name.len(), limit::NAME_BYTES, "name")?;
    within(b.addresses.len(), limit::ADDRESSES, "number of addresses")?;
    for address in &b.addresses {
        within(address.len(), limit::ADDRESS_BYTES, "address")?;
    }
    if !name_fits {
        return Err(RecordError::Bounds("name"));
    }
    Ok(NodeInfo { name: b.name, addresses: b.addresses })
}

fn volume_to_schema(b: &VolumeInfo) -> schema::Volume {
    schema::Volume {
        volume: b.volume.0.to_vec(),
        media: media_to_schema(b.media) as i32,
        capacity: b.capacity,
        free: b.free,
        site: b.site.as_ref().map(|site| site.name().to_owned()).unwrap_or_default(),
        device: b.device.clone(),
        host: b.host.clone(),
        trust_declared: b.trust_declared,
        since: b.since,
        absent: b.absent,
    }
}

fn volume_from_schema(b: schema::Volume) -> Result<VolumeInfo> {
    within(b.device.len(), limit::DEVICE_BYTES, "device")?;
    within(b.host.len(), limit::DEVICE_BYTES, "host")?;
    let site = site_or_none(&b.site)?;
    Ok(VolumeInfo {
        volume: VolumeId::from_slice(&b.volume)?,
        media: media_from_schema(b.media)?,
        capacity: b.capacity,
        free: b.free,
        site,
        device: b.device,
        host: b.host,
        trust_declared: b.trust_declared,
        since: b.since,
        absent: b.absent,
    })
}

fn roll_to_schema(b: &Roll) -> schema::Roll {
    schema::Roll {
        roll: b.roll.0.to_vec(),
        shoot: b.shoot.0.to_vec(),
        shoot_name: b.shoot_name.clone(),
        references: b.references.iter().map(|roll| roll.0.to_vec()).collect(),
        data_bytes: b.data_bytes,
        catalog_bytes: b.catalog_bytes,
        sealed_hash: b.sealed_hash.0.to_vec(),
        wrapped_key: b.wrapped_key.to_vec(),
        catalog_hash: b.catalog_hash.0.to_vec(),
        files: b.files,
        bytes: b.bytes,
    }
}

fn roll_from_schema(b: schema::Roll) -> Result<Roll> {
    within(b.references.len(), limit::REFERENCES, "number of references")?;
    within(b.shoot_name.len(), limit::SHOOT_NAME_MAX + 128, "shoot name")?;
    if b.catalog_bytes > limit::CATALOG_BYTES_MAX {
        return Err(RecordError::Bounds("catalog"));
    }
    // Whoever could say any number could drown the brake, which compares what is deleted with what there is.
    if b.data_bytes > limit::PART_BYTES_MAX || b.files > limit::ENTRIES_MAX as u64 {
        return Err(RecordError::Bounds("size of a roll"));
    }
    Ok(Roll {
        roll: RollId::from_slice(&b.roll)?,
        shoot: ShootId::from_slice(&b.shoot)?,
        shoot_name: b.shoot_name,
        references: each(&b.references, RollId::from_slice)?,
        data_bytes: b.data_bytes,
        catalog_bytes: b.catalog_bytes,
        sealed_hash: Hash::from_slice(&b.sealed_hash)?,
        wrapped_key: array(&b.wrapped_key, "wrapped key")?,
        catalog_hash: Hash::from_slice(&b.catalog_hash)?,
        files: b.files,
        bytes: b.bytes,
    })
}

fn coding_from_schema(b: schema::Coding) -> Result<Coding> {
    let k = u8::try_from(b.k).map_err(|_| RecordError::Bounds("k"))?;
    within(b.shards.len(), usize::from(limit::N_MAX), "number of shards")?;
    if k == 0 || k > limit::K_MAX || usize::from(k) > b.shards.len() {
        return Err(RecordError::Bounds("k"));
    }
    if b.unit == 0 {
        return Err(RecordError::Bounds("unit"));
    }
    Ok(Coding {
        roll: RollId::from_slice(&b.roll)?,
        coding: CodingId::from_slice(&b.coding)?,
        k,
        unit: b.unit,
        shard_bytes: b.shard_bytes,
        shards: each(&b.shards, Hash::from_slice)?,
    })
}

fn held_to_schema(coding: &CodingId, indexes: &BTreeSet<u8>) -> schema::Held {
    schema::Held { coding: coding.0.to_vec(), indexes: indexes.iter().map(|&index| index.into()).collect() }
}

fn held_from_schema(b: schema::Held) -> Result<(CodingId, BTreeSet<u8>)> {
    let index = |&index: &u32| u8::try_from(index).map_err(|_| RecordError::Bounds("shard index"));
    Ok((CodingId::from_slice(&b.coding)?, b.indexes.iter().map(index).collect::<Result<_>>()?))
}

fn rule_from_schema(b: schema::Rule) -> Result<RuleInfo> {
    let number = |n: u32| u8::try_from(n).ok().filter(|n| *n <= Rule::MAX).ok_or(RecordError::Bounds("rule"));
    let shoot = if b.shoot.is_empty() { None } else { Some(ShootId::from_slice(&b.shoot)?) };
    let rule = Rule {
        copies: number(b.copies)?,
        media: number(b.media)?,
        offsite: number(b.offsite)?,
        full: b.full,
        spend: (b.spend > 0).then_some(b.spend),
    };
    if rule.copies == 0 || rule.media == 0 {
        return Err(RecordError::Bounds("rule"));
    }
    Ok(RuleInfo { shoot, rule })
}

fn drill_to_schema(b: &Drill) -> schema::Drill {
    schema::Drill {
        without: b.without.name().to_owned(),
        passed: b.passed,
        all: b.all,
        files: b.files,
        of_files: b.of_files,
        bytes: b.bytes,
        failed: b.failed,
        rolls: b.rolls,
        newest: b.newest.0,
    }
}

fn drill_from_schema(b: schema::Drill) -> Result<Drill> {
    // Who says that all went well, and names what did not, is believed neither.
    if b.passed && b.failed > 0 {
        return Err(RecordError::Bounds("drill"));
    }
    Ok(Drill {
        without: Site::new(&b.without).ok_or(RecordError::Bounds("site"))?,
        passed: b.passed,
        all: b.all,
        files: b.files,
        of_files: b.of_files,
        bytes: b.bytes,
        failed: b.failed,
        rolls: b.rolls,
        newest: Hlc(b.newest),
    })
}

fn site_or_none(name: &str) -> Result<Option<Site>> {
    match name {
        "" => Ok(None),
        name => Site::new(name).map(Some).ok_or(RecordError::Bounds("site")),
    }
}

/// Bit n, from the lowest of the first byte, for each place n.
fn bits_of(places: &BTreeSet<u32>) -> Vec<u8> {
    let mut bits = vec![0; places.last().map_or(0, |last| *last as usize / 8 + 1)];
    for place in places {
        bits[*place as usize / 8] |= 1 << (place % 8);
    }
    bits
}

fn places_of(bits: &[u8]) -> BTreeSet<u32> {
    (0u32..)
        .zip(bits)
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit))
        .collect()
}

fn role_to_schema(role: Role) -> schema::Role {
    match role {
        Role::Studio => schema::Role::Studio,
        Role::Vault => schema::Role::Vault,
    }
}

fn role_from_schema(role: i32) -> Result<Role> {
    match schema::Role::try_from(role) {
        Ok(schema::Role::Studio) => Ok(Role::Studio),
        Ok(schema::Role::Vault) => Ok(Role::Vault),
        _ => Err(RecordError::Bounds("role")),
    }
}

fn media_to_schema(media: Media) -> schema::Media {
    match media {
        Media::Ssd => schema::Media::Ssd,
        Media::Hdd => schema::Media::Hdd,
        Media::Usb => schema::Media::Usb,
        Media::Nas => schema::Media::Nas,
        Media::Cloud => schema::Media::Cloud,
        Media::Tape => schema::Media::Tape,
        Media::Optical => schema::Media::Optical,
    }
}

fn media_from_schema(media: i32) -> Result<Media> {
    match schema::Media::try_from(media) {
        Ok(schema::Media::Ssd) => Ok(Media::Ssd),
        Ok(schema::Media::Hdd) => Ok(Media::Hdd),
        Ok(schema::Media::Usb) => Ok(Media::Usb),
        Ok(schema::Media::Nas) => Ok(Media::Nas),
        Ok(schema::Media::Cloud) => Ok(Media::Cloud),
        Ok(schema::Media::Tape) => Ok(Media::Tape),
        Ok(schema::Media::Optical) => Ok(Media::Optical),
        _ => Err(RecordError::Bounds("medium")),
    }
}

fn within(count: usize, most: usize, what: &'static str) -> Result<()> {
    if count > most { Err(RecordError::Bounds(what)) } else { Ok(()) }
}

fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| RecordError::Bounds(what))
}

fn each<T, C: FromIterator<T>>(
    items: &[Vec<u8>],
    parse: impl Fn(&[u8]) -> std::result::Result<T, IdError>,
) -> Result<C> {
    items.iter().map(|bytes| Ok(parse(bytes)?)).collect()
}
