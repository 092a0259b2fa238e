//! Connections and throwaway servers.
