//! The methods whose results say what a server offers.
//!
//! Pure data.

/// The methods whose results say what a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaMethod {
    /// `initialize`: the handshake of the sessions' era.
    Initialize,
    /// `server/discover`: the handshake of the sessionless era.
    Discover,
    /// `tools/list`.
    Tools,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
    /// `prompts/list`.
    Prompts,
}

impl SchemaMethod {
    /// The schema method of that name.
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "tools/list" => Self::Tools,
            "resources/list" => Self::Resources,
            "resources/templates/list" => Self::ResourceTemplates,
            "prompts/list" => Self::Prompts,
            _ => return None,
        })
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The member of the result that holds the list, and the key of its items. `None` for the two handshakes.
    pub(super) const fn list(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Initialize | Self::Discover => None,
            Self::Tools => Some(("tools", "name")),
            Self::Resources => Some(("resources", "uri")),
            Self::ResourceTemplates => Some(("resourceTemplates", "uriTemplate")),
            Self::Prompts => Some(("prompts", "name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_method_is_known_by_its_name() {
        for method in [
            SchemaMethod::Initialize,
            SchemaMethod::Discover,
            SchemaMethod::Tools,
            SchemaMethod::Resources,
            SchemaMethod::ResourceTemplates,
            SchemaMethod::Prompts,
        ] {
            assert_eq!(SchemaMethod::of(method.name()), Some(method));
        }
        assert_eq!(SchemaMethod::of("tools/call"), None);
    }
}
