"""Making commits: the genesis, adding and removing (docs/protocol.md, sections 6, 7 and 10)."""

import copy

from crypto import H, Refused, ZEROS, random, sign
from group import Group, StagedCommit, deliver, epoch_secrets, too_old
from pairwise import COMMIT_SECRET, WELCOME, Context, seal_initial
from roster import OWNER, Public, apply, roster_hash
from structures import ADD, REMOVE, Commit, CommitBody, Welcome, WelcomeSender, device_id


def _commit(me, body, init, secret):
    """Returns (commit, es, init')."""
    data = body.bytes()
    es, init, confirmation = epoch_secrets(init, secret, H("commit body", data))
    digest = H("commit", H("commit body", data), confirmation)
    return Commit(data, confirmation, sign(me.device_private, "commit", digest)), es, init


def _filled(body, leaves):
    """The body with the hash of the roster that results."""
    body.roster = roster_hash(apply(leaves, body))
    return body


def genesis(me, at):
    """Returns (commit bytes, group): the group as it is once the genesis is in the log as its entry 1."""
    secret = random(32)
    body = _filled(CommitBody(random(32), 0, ZEROS, 0, me.device, H("commit secret commitment", secret),
                              [(ADD, [OWNER, me.manifest])], ZEROS, [], at), [])
    commit, _, init = _commit(me, body, ZEROS, secret)
    public = Public.genesis(commit.bytes(), commit.hash())
    return commit.bytes(), Group(public, 1, 0, init, b"")


def stage(group, me, adds, removes, prekeys, at, note=b""):
    """Stages a commit that adds manifests as (role, manifest bytes) and removes accounts. Returns (commit bytes,
    deliveries, welcomes); store both states before anything is sent (R45, R55)."""
    if group.init is None or group.staged_commit is not None:
        raise Refused("R45: nothing can be staged now")
    public = group.public
    secret = random(32) if removes else None
    operations = [(ADD, [role, manifest]) for role, manifest in adds] + [(REMOVE, [account]) for account in removes]
    epoch = public.epoch + 1
    body = CommitBody(public.group, epoch, public.head, group.last_distribution, me.device,
                      None if secret is None else H("commit secret commitment", secret), operations, ZEROS, [], at)
    _filled(body, public.leaves)
    before = {device for _, device, _ in public.devices()}
    after = [(leaf.account, device_id(leaf.device_key)) for leaf in apply(public.leaves, body) if leaf is not None]
    added = [(account, device) for account, device in after if device not in before]
    staying = [(account, device) for account, device in after if device in before and device != me.device]

    deliveries, chains = {}, {}
    if secret is not None:
        context = Context(COMMIT_SECRET, public.group, epoch)
        deliveries, chains = deliver(me, staying, context, secret, prekeys, at)
    unreachable = {device for device, delivery in deliveries.items() if not delivery}
    unreachable |= {device for _, device in added if device not in prekeys}
    body.unreachable = sorted(unreachable)
    commit, es, init = _commit(me, body, group.init, secret)
    public.follow(commit.bytes())                       # what everybody will check

    senders = []
    for (device, _), sender in copy.deepcopy(group.senders).items():
        if sender.key is not None and device in {device for _, device in after} and not too_old(sender.key, at):
            sender.key.mix(es)
            senders.append(WelcomeSender(sender.key.certificate, sender.key.seed, sender.key.chain_key, 0))
    welcome = Welcome(commit.hash(), init, senders, note).bytes()
    context = Context(WELCOME, public.group, epoch)
    reached = [(account, device) for account, device in added if device not in unreachable]
    newcomers = [(account, device, *prekeys[device], context, welcome) for account, device in reached]
    sealed, opened = seal_initial(me, newcomers, at) if newcomers else ([], {})
    group.staged_commit = StagedCommit(commit.body, secret, {**chains, **opened})
    return (commit.bytes(), [delivery for delivery in deliveries.values() if delivery],
            [[device, delivery] for (_, device), delivery in zip(reached, sealed)])
