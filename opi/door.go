package opi

// Door names a front door: the way by which an LRP, a build or a task was asked for. What
// becomes of it is reported in the form of the same door. The name is kept on the object.
type Door string

// DoorOPI is the door of package opi/api. It has no name, because objects that were made
// when there was a single door carry none.
const DoorOPI Door = ""

// DoorBBS is the door of package opi/bbs.
const DoorBBS Door = "bbs"

// DomainApps is the domain in which Cloud Controller desires apps by the BBS door.
const DomainApps = "cf-apps"
