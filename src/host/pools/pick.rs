//! Claims idle devices of pools for a domain that is about to start under their own UUIDs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::clock::Deadline;
use super::super::daemons;
use super::super::ledger::{self, Ledger, LedgerError, LockError};
use super::super::life;
use super::super::machine::Machine;
use super::super::survey::{Survey, SurveyError};
use crate::model::affinity::Affinity;
use crate::model::claim::{Claimant, Holdings, SCHEMA};
use crate::model::names::{DomainUuid, MdevUuid};
use crate::model::plan::{self, Action, Patience, Plan, Wanted};
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
    /// What it has besides, which no pool may hand out to it.
    pub besides: Vec<MdevUuid>,
    /// Where it runs.
    pub affinity: Affinity,
}

/// What was claimed.
#[derive(Debug, Default)]
pub struct Picked {
    /// Which device stands for which of the wanted ones; the others are made when the domain starts.
    pub devices: Vec<(MdevUuid, MdevUuid)>,
    /// Those that the domain did not claim before.
    fresh: Vec<MdevUuid>,
}

/// Claims for a domain what its pools hand out, as long as its libvirt daemon runs and a start may take.
///
/// # Errors
/// See [`PickError`].
pub fn pick(machine: &Machine<'_>, request: &Request) -> Result<Picked, PickError> {
    const SHORT: Duration = Duration::from_millis(20);
    let ledger = Ledger::open(&machine.root, machine.kernel)?;
    let claimant = Claimant::Domain(request.domain);
    let mut lost = Vec::new();
    let mut silent = BTreeSet::new();
    loop {
        let own_lock = ledger.lock_claimant(claimant, machine.deadline)?;
        let host_lock = ledger.lock_host(machine.deadline)?;
        let survey = look(machine, &ledger, request, &lost, &silent).hastily();
        let plan = plan::plan(&request.wanted, &survey, Patience::Exhausted);
        if survey.met_silence() && !machine.deadline.has_passed() {
            silent = survey.into_silent();
            drop((host_lock, own_lock));
            // As a start does: which other drivers do not answer is found out while nobody is held up by it.
            let survey = look(machine, &ledger, request, &lost, &silent);
            plan::plan(&request.wanted, &survey, Patience::Exhausted);
            silent = survey.into_silent();
            continue;
        }
        survey.finish()?;
        let devices = chosen(&plan)?;
        if devices.is_empty() {
            return Ok(Picked::default());
        }
        let mut locks = Vec::new();
        let is_lost = |device: &MdevUuid| match ledger.lock_devices([*device], Deadline::after(SHORT)) {
            Ok(taken) => {
                locks.extend(taken);
                Ok(None)
            }
            // Others are at work on it; another may do.
            Err(LockError::TimedOut { .. }) => Ok(Some(*device)),
            Err(error) => Err(error),
        };
        let each = devices.iter().map(|(_, device)| device).map(is_lost);
        let now_lost = each.collect::<Result<Vec<_>, _>>()?;
        let before = lost.len();
        lost.extend(now_lost.into_iter().flatten());
        if lost.len() == before {
            let fresh = claim(machine, &ledger, request, &devices)?;
            return Ok(Picked { devices, fresh });
        }
    }
}

/// Gives back what was picked, as nobody will hear of it. What was claimed before stays so.
///
/// # Errors
/// See [`PickError`].
pub fn give_back(machine: &Machine<'_>, request: &Request, picked: &Picked) -> Result<(), PickError> {
    let ledger = Ledger::open(&machine.root, machine.kernel)?;
    let claimant = Claimant::Domain(request.domain);
    let _own = ledger.lock_claimant(claimant, machine.deadline)?;
    let _devices = ledger.lock_devices(picked.fresh.iter().copied(), machine.deadline)?;
    for device in &picked.fresh {
        ledger.drop_claim(*device, claimant)?;
    }
    let mut holdings = ledger.holdings(claimant)?.unwrap_or_default();
    holdings.devices.retain(|device| !picked.fresh.contains(device));
    if holdings.devices.is_empty() {
        ledger.drop_holdings(claimant)?;
    } else {
        ledger.write_holdings(claimant, &holdings)?;
    }
    Ok(())
}

fn look<'a>(
    machine: &'a Machine<'_>,
    ledger: &'a Ledger<'_>,
    request: &Request,
    lost: &[MdevUuid],
    silent: &BTreeSet<String>,
) -> Survey<'a> {
    Survey::new(&machine.root, ledger, Some(Claimant::Domain(request.domain)))
        .until(machine.deadline, machine.timeouts.write)
        .passing_over(silent)
        .placing(&machine.cordon, request.affinity.clone())
        .without(lost)
        .beside(&request.besides)
}

/// Which device stands for which.
fn chosen(plan: &Plan) -> Result<Vec<(MdevUuid, MdevUuid)>, PickError> {
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
    Ok(picked.collect())
}

/// Claims them, and tells which of them are new. The caller holds all locks.
fn claim(
    machine: &Machine<'_>,
    ledger: &Ledger<'_>,
    request: &Request,
    picked: &[(MdevUuid, MdevUuid)],
) -> Result<Vec<MdevUuid>, PickError> {
    let claimant = Claimant::Domain(request.domain);
    let devices: Vec<MdevUuid> = picked.iter().map(|(_, device)| *device).collect();
    let daemons = daemons::all(&machine.root);
    let daemon = daemons.first().ok_or(PickError::NoDaemon)?.id;
    let boot = ledger::boot(&machine.root)?;
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
    let claim = life::new_claim(&machine.root, boot, &request.name, Some(daemon));
    let mut fresh = Vec::new();
    for device in devices {
        // Claims of the dead: what the plan gives here is nobody else's.
        for other in ledger.claimants_of(device)? {
            if other != claimant {
                ledger.drop_claim(device, other)?;
            }
        }
        if !ledger.is_claimed_by(device, claimant) {
            fresh.push(device);
        }
        ledger.write_claim(device, claimant, &claim)?;
    }
    Ok(fresh)
}
