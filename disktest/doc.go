// Package disktest gives tests disks that fail as disks do: one whose power is cut at any moment, one that answers an
// fsync with an error and forgets what it was asked to keep, and one that is full. It knows files and processes, and
// must not know what is kept in them; only tests import it.
//
// The disks need root, mounts and loop devices. Where those are missing the test is skipped, and NotRun says so aloud.
package disktest
