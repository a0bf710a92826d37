/*
 * inbox.pml - a model of src/inbox.h for spin.
 *
 *     inbox --> parcel --> parcel --> none        newest first
 *
 * Pushers own parcels, which the model calls blocks, link one or two of them to
 * a chain, and swap the chain into the inbox: the code pushes one at a time.
 * Takers get the arena's lock in turn, exchange the head for none, and walk what
 * they got. A block that was taken is handed out to any pusher, who pushes it
 * again: so the head comes back to values that a slow pusher has read long
 * before, which is where an ABA would show. How many wait, which is in the head
 * too, follows from the head, and is left out.
 *
 * Blocks are numbers from 1; 0 is none. Every load and store of the head or of
 * a link is a step of its own; the compare-and-swap and the exchange are one
 * step, as they are in the machine. What the model takes as given is that a
 * link that was written before the swap is seen after the exchange: inbox.h
 * says how release and acquire order see to that.
 *
 * Checked: a block that is taken was in the inbox, and only once; its link
 * leads to what was below it when it was pushed; and when nothing moves any
 * more, all pushers are done and every block is with one: nothing is lost and
 * nobody is stuck.
 *
 * tools/check-inbox runs this, and then again with each of these mistakes in
 * it, which must not pass:
 *
 *     BLIND_PUSH   a push stores the head without a comparison
 *     TORN_TAKE    taking reads the head, and clears it in another step
 *     POP_ONE      taking removes one block by compare-and-swap, unlocked
 */
#define PUSHERS 2
#define BLOCKS  3
#ifndef ROUNDS
#define ROUNDS 3 /* chains that each pusher pushes */
#endif

#define IN_INBOX 100
#define AT_TAKER 101

byte head;
byte link[BLOCKS + 1];
bool is_locked;

/* What only the assertions know. */
byte owner[BLOCKS + 1]; /* a pusher's number, IN_INBOX or AT_TAKER */
byte below[BLOCKS + 1]; /* what was under the block when it was pushed */
bool is_done[PUSHERS + 1];

inline choose_own(block)
{
    if
    :: owner[1] == me -> block = 1
    :: owner[2] == me -> block = 2
    :: owner[3] == me -> block = 3
    fi;
    owner[block] = IN_INBOX
}

/* The step in which a chain becomes visible. */
inline publish()
{
    below[last] = head;
    if
    :: first != last -> below[first] = last
    :: else
    fi;
    head = first
}

/* Who has pushed enough leaves its blocks to the other. */
inline retire()
{
    is_done[me] = true;
    if :: owner[1] == me -> owner[1] = 3 - me :: else fi;
    if :: owner[2] == me -> owner[2] = 3 - me :: else fi;
    if :: owner[3] == me -> owner[3] = 3 - me :: else fi
}

proctype pusher(byte me)
{
    byte round, first, last, seen;

    do
    :: round < ROUNDS ->
        /* Who owns nothing waits for a taker to hand something out. */
        atomic {
            choose_own(last);
            first = last;
            if
            :: true
            :: owner[1] == me || owner[2] == me || owner[3] == me ->
                choose_own(first)
            fi
        }
        if
        :: first != last -> link[first] = last
        :: else
        fi;
        seen = head;
        do
        :: true ->
            link[last] = seen;
#ifdef BLIND_PUSH
            atomic { publish(); break }
#else
            atomic {
                if
                :: head == seen -> publish(); break
                :: head != seen -> seen = head
                fi
            }
#endif
        od;
        atomic { first = 0; last = 0; seen = 0; round++ }
    :: else -> break
    od;
    atomic { retire() }
}

/* A block was taken: reads its link, and hands it out. */
inline take_block(block)
{
    atomic {
        assert(block <= BLOCKS && owner[block] == IN_INBOX);
        owner[block] = AT_TAKER
    }
    next = link[block];
    atomic {
        assert(next == below[block]);
        if
        :: !is_done[1] -> owner[block] = 1
        :: !is_done[2] -> owner[block] = 2
        :: is_done[1] && is_done[2] -> owner[block] = 1
        fi
    }
}

#ifdef POP_ONE
inline take()
{
    at = head;
    if
    :: at != 0 ->
        next = link[at];
        atomic {
            if
            :: head == at -> head = next
            :: head != at -> at = 0
            fi
        }
    :: else
    fi;
    if
    :: at != 0 -> take_block(at)
    :: else
    fi
}
#else
inline take()
{
    atomic { !is_locked -> is_locked = true }
#ifdef TORN_TAKE
    at = head;
    head = 0;
#else
    atomic { at = head; head = 0 }
#endif
    do
    :: at != 0 ->
        take_block(at);
        at = next
    :: at == 0 -> break
    od;
    is_locked = false
}
#endif

proctype taker()
{
    byte at, next;

end_nothing_waits:
    do
    :: head != 0 ->
        take();
        atomic { at = 0; next = 0 }
    od
}

/* Runs when nobody else can. */
proctype auditor()
{
    byte block = 1;

    timeout;
    assert(is_done[1] && is_done[2] && head == 0 && !is_locked);
    do
    :: block <= BLOCKS -> assert(owner[block] <= PUSHERS); block++
    :: else -> break
    od
}

init
{
    atomic {
        owner[1] = 1;
        owner[2] = 1;
        owner[3] = 2;
        run pusher(1);
        run pusher(2);
        run taker();
        run taker();
        run auditor()
    }
}
