//! Claims idle devices of pools for a domain that is about to start under their own UUIDs.

use std::time::Duration;

use super::super::clock::Deadline;
use super::super::ledger::{Ledger, LedgerError, LockError};
use super::super::machine::{self, Machine};
use super::super::processes;
use super::super::survey::{Survey, SurveyError};
use crate::model::affinity::Affinity;
use crate::model::claim::{Claim, Claimant, Holdings, SCHEMA};
use crate::model::names::{DomainUuid, MdevUuid};
use crate::model::plan::{self, Action, Patience, Wanted};
use crate::model::refusal::Refusal;

/// Why nothing is picked. Then nothing is claimed, either.
#[derive(Debug, thiserror::Error)]
pub enum PickError {
    /// A device cannot be had.
    #[error("cannot have {uuid}: {refusal}")]
    Refused {
        /// The device.
        uuid: MdevUuid,
        /// Why not.
        refusal: Box<Refusal>,
    },
    /// Nobody would start the domain.
    #[error("no libvirt daemon runs, for which a device could be claimed; start libvirtd or virtqemud")]
    NoDaemon,
    /// The host cannot be looked at.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Somebody else is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Who is to have devices.
#[derive(Debug, Clone)]
pub struct Request {
    /// The domain.
    pub domain: DomainUuid,
    /// Its name.
    pub name: String,
    /// What it wants; a pool's device may be another.
    pub wanted: Vec<Wanted>,
    /// Where it runs.
    pub affinity: Affinity,
}

/// Claims for a domain what its pools hand out, as long as its libvirt daemon runs and a start may take. Tells which device
/// stands for which of the wanted ones; the others are made when it starts.
///
/// # Errors
/// See [`PickError`].
pub fn pick(machine: &Machine<'_>, request: &Request) -> Result<Vec<(MdevUuid, MdevUuid)>, PickError> {
    const SHORT: Duration = Duration::from_millis(20);
    let ledger = Ledger::open(&machine.root, machine.kernel)?;
    let claimant = Claimant::Domain(request.domain);
    let _own = ledger.lock_claimant(claimant, machine.deadline)?;
    let _host = ledger.lock_host(machine.deadline)?;
    let survey = Survey::new(&machine.root, &ledger, Some(claimant))
        .placing(&machine.cordon, request.affinity.clone());
    let plan = plan::plan(&request.wanted, &survey, Patience::Exhausted);
    survey.finish()?;
    if let Some((wanted, refusal, _)) = plan.refusal() {
        return Err(PickError::Refused {
            uuid: wanted.uuid,
            refusal: Box::new(refusal.clone()),
        });
    }
    let picked = plan.devices.iter().filter_map(|(wanted, action)| match action {
        Action::HandOut(device, _) => Some((wanted.uuid, *device)),
        _ => None,
    });
    let picked: Vec<(MdevUuid, MdevUuid)> = picked.collect();
    if picked.is_empty() {
        return Ok(picked);
    }
    let devices: Vec<MdevUuid> = picked.iter().map(|(_, device)| *device).collect();
    let _devices = ledger.lock_devices(devices.iter().copied(), Deadline::after(SHORT))?;
    let daemons = processes::libvirt_daemons(&machine.root);
    let daemon = daemons.first().ok_or(PickError::NoDaemon)?.id;
    // What it has besides stays.
    let mut all = ledger.holdings(claimant)?.unwrap_or_default().devices;
    all.extend(&devices);
    all.sort_unstable();
    all.dedup();
    let holdings = Holdings {
        schema: SCHEMA,
        name: request.name.clone(),
        devices: all,
    };
    ledger.write_holdings(claimant, &holdings)?;
    let claim = Claim {
        schema: SCHEMA,
        name: request.name.clone(),
        boot: machine::boot_id(&machine.root),
        time: machine::now(),
        daemon: Some(daemon),
    };
    for device in &devices {
        // Claims of the dead: what the plan gives here is nobody else's.
        for other in ledger.claimants_of(*device)? {
            if other != claimant {
                ledger.drop_claim(*device, other)?;
            }
        }
        ledger.write_claim(*device, claimant, &claim)?;
    }
    Ok(picked)
}
