"""PBFT for a consortium of any n >= 4 members, as a pure core that is stepped.

Orders 32-byte digests with opaque bodies; does not know what a block is and must never
import `vm` or `node`. Start with `consensus.replica`, then `normal_case`, `view_change`,
`recovery`; `docs/spec/consensus.md` is the protocol in words.
"""
