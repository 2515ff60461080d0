// Package success keeps when each catalog, and everything, was last synced without a failure. In: catalogs that are there, and syncs that
// went well. Out: metrics, also of what never was synced, and across restarts, so that an alert sees what fails from the first day on.
package success
