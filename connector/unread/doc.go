// Package unread holds back what has to wait for what could not be looked at. It takes what a sync has read, with what was left
// out of it (load.Found), and the desired grants, and returns those that may be pushed now, with findings on the others
// ([AsFarAsKnown]): no grant confers access by USE_* that may still be to go, and no USE_* is added above a grant that may be.
// Package connector calls it before it compares. [Beside] does the same for grants that stay although no policy asks for them, once
// comparing has told which.
package unread
