//! What can be typed.

use clap::{Args, Parser, Subcommand};

use crate::{
    globals::Globals,
    verbs::{
        actions::{ActArgs, ActionVerb},
        agents::AgentVerb,
        backup::BackupVerb,
        budgets::{BudgetVerb, UsageArgs},
        effects::EffectVerb,
        evidence::EvidenceVerb,
        halt::WhyArgs,
        handoffs::HandoffVerb,
        hooks::HookVerb,
        keys::KeyVerb,
        ledger::LedgerVerb,
        login::LoginArgs,
        logs::LogVerb,
        manual::{CompletionsArgs, ManArgs},
        mcp::McpArgs,
        models::ModelVerb,
        node::NodeVerb,
        packets::PacketVerb,
        people::PeopleVerb,
        policy::PolicyVerb,
        redact::RedactArgs,
        retention::RetentionVerb,
        reviews::ReviewVerb,
        runs::RunVerb,
        secrets::{LeaseVerb, SecretVerb},
        state::StateVerb,
        tools::ToolVerb,
    },
};

/// Governs AI agents: names them, decides what they may do, and records it so that anyone can check.
#[derive(Debug, Parser)]
#[command(name = "steward", version, propagate_version = true, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done; 1 refused, or not true; 2 wrong use; 3 the node cannot be reached.\n\
                  STEWARD_KEY: a key to use instead of the one that `steward login` keeps: an agent's, or a script's.")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the node, and make it on the first start
    Up(UpArgs),
    /// Get a key of your own, from a login key or by a provider of OpenID Connect, and keep it
    Login(LoginArgs),
    /// People who may use this node
    #[command(subcommand, visible_alias = "person")]
    People(PeopleVerb),
    /// Keys of people and agents
    #[command(subcommand)]
    Key(KeyVerb),
    /// Agents of this node
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Do one governed action, as an agent
    Act(ActArgs),
    /// Actions that were asked for, and why they were allowed or refused
    #[command(subcommand)]
    Action(ActionVerb),
    /// What an agent is told before it may start: check it, without a node
    #[command(subcommand)]
    Packet(PacketVerb),
    /// An agent's passes through the lifecycle: start, follow, stop
    #[command(subcommand)]
    Run(RunVerb),
    /// What a run leaves: verify it, without a node
    #[command(subcommand)]
    Evidence(EvidenceVerb),
    /// What a revoked agent leaves to its successor
    #[command(subcommand)]
    Handoff(HandoffVerb),
    /// What waits for people's decisions: look, approve, reject
    #[command(subcommand)]
    Review(ReviewVerb),
    /// What was done to the world, and what nobody knows of
    #[command(subcommand)]
    Effect(EffectVerb),
    /// The runtime's state, in the keys that operators know
    #[command(subcommand)]
    State(StateVerb),
    /// Servers of tools (MCP) that stand behind the node: add, look, allow
    #[command(subcommand)]
    Tool(ToolVerb),
    /// Language models that stand behind the node
    #[command(subcommand)]
    Model(ModelVerb),
    /// How much of models may be used
    #[command(subcommand)]
    Budget(BudgetVerb),
    /// How much of models was used
    Usage(UsageArgs),
    /// What tools and models are given that is secret: put, rotate, revoke, grant
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Which run has which secret now
    #[command(subcommand)]
    Lease(LeaseVerb),
    /// Who is told what waits for people
    #[command(subcommand)]
    Hook(HookVerb),
    /// Where what agents did is sent as spans of OpenTelemetry, and how that goes
    Traces,
    /// For agents: the tools of the run that one is in, as an MCP server or from a script
    Mcp(McpArgs),
    /// Stop every run and every effect, now; it lasts until `resume`, also over a restart
    Halt(WhyArgs),
    /// Let a halted node go on
    Resume(WhyArgs),
    /// What is allowed: check it, ask it, test it
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// The record: read it, search it, prove it, verify it
    #[command(subcommand)]
    Ledger(LedgerVerb),
    /// The node itself
    #[command(subcommand)]
    Node(NodeVerb),
    /// What the node logged: read from its home, without the node
    #[command(subcommand)]
    Logs(LogVerb),
    /// What is wrong now, since when, and what to do
    Alerts,
    /// Erase what an entry of the ledger says; that it stands there, and every proof, stays
    Redact(RedactArgs),
    /// How long what the ledger's entries say is kept
    #[command(subcommand)]
    Retention(RetentionVerb),
    /// Copies of the node's home: make, check, put back
    #[command(subcommand)]
    Backup(BackupVerb),
    /// Before another version of this program: would it start?
    #[command(subcommand)]
    Upgrade(UpgradeVerb),
    /// Look for what is wrong, and say how to mend it
    Doctor,
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    Man(ManArgs),
}

/// What can be asked before an upgrade.
#[derive(Debug, Clone, Subcommand)]
pub enum UpgradeVerb {
    /// Read the configuration and the policies, and try the steps of the store's tables on a copy. Nothing is changed
    Check,
}

/// Starts the node.
#[derive(Debug, Clone, Default, Args)]
pub struct UpArgs {
    /// Where to listen; port 0 picks one [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Make a node to try things with: people, agents, and a few actions
    #[arg(long)]
    pub demo: bool,
    /// The namespace that a new node is the authority for: acme.internal
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The name of a new node's first person
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_can_be_typed() {
        for line in [
            "up --demo",
            "up --listen 127.0.0.1:0 --home /n --namespace acme.internal --operator olivia",
            "login",
            "login --key-file k --label desk",
            "login --key-stdin --forget",
            "login --oidc",
            "login --issuer https://id.example.org --device --label desk",
            "people link rita --issuer https://id.example.org --subject 4711",
            "person link ci --issuer https://id.example.org --subject robot --service",
            "people unlink rita --issuer https://id.example.org --subject 4711",
            "people links --json",
            "people add rita --role reviewer --role viewer",
            "people list --json",
            "people disable rita",
            "key create --label ci --scope read",
            "key create --agent scribe --label run --scope act --expires 30d --single-use",
            "key create --person rita --label x --scope login",
            "key list",
            "key revoke key_1",
            "agent init scribe",
            "agent init scribe --starter shell --tier T2 --into programs",
            "agent add scribe.toml",
            "agent list",
            "agent show scribe",
            "agent revoke scribe --reason off",
            "agent reinstate scribe --reason fine",
            "packet check p.json",
            "packet check t.json --template --namespace acme.internal --json",
            "packet schema",
            "packet schema handoff",
            "run start scribe --packet p.json --detach",
            "run start scribe --task design objective --parent run_1",
            "run list --agent scribe --task design --live --limit 3",
            "run show run_1",
            "run stop run_1 --reason enough",
            "run evidence run_1 --output f --force",
            "evidence verify f --vkey k",
            "evidence verify f",
            "handoff show design",
            "agent promote scribe --reason record",
            "agent demote scribe --reason sloppy",
            "agent appeal scribe --reason mended",
            "review list",
            "review list --all --kind plan --run run_1 --limit 3",
            "review list --status rejected --json",
            "review show rvw_1",
            "review approve rvw_1 --reason sound",
            "review reject rvw_1 --reason no",
            "review watch",
            "effect list --unknown --run run_1",
            "effect resolve act_1 --happened --reason seen",
            "effect resolve act_1 --did-not-happen --reason looked",
            "state get agent:*:state",
            "tool add files -- npx -y server-filesystem /data --verbose",
            "tool add github --secret GITHUB_TOKEN=github --secret B=c -- github-mcp-server stdio",
            "tool add docs --url https://example.org/mcp --secret Authorization=docs",
            "tool list",
            "tool show files --json",
            "tool allow files read_file",
            "tool allow files --all --tier T2 --despite-findings",
            "tool forbid files read_file",
            "tool forbid files --all",
            "tool pin files",
            "tool remove files",
            "model add fast --url http://127.0.0.1:11434/v1",
            "model add fast --url https://a.org/v1 --wire anthropic --upstream m --secret s --tier T1 --input-price 0.15 --output-price 3 --max-output 8000 --fallback slow --replace",
            "model list",
            "model test fast",
            "model remove fast",
            "budget set --per day --money 2.50",
            "budget set --agent scribe --per run --calls 10 --tokens 10000 --money 1",
            "budget set --per ever --none",
            "budget list",
            "usage",
            "usage --per month --json",
            "secret put openrouter",
            "secret put openrouter --from-file key.txt",
            "secret put hook --generate 32",
            "secret put db --made-by postgres",
            "secret list --json",
            "secret rotate hook",
            "secret rotate openrouter --stdin",
            "secret revoke hook --reason leaked",
            "secret grant openrouter --to scribe",
            "secret grant openrouter --to scribe --withdraw",
            "lease list --secret hook --run run_1 --all",
            "lease revoke lse_1 --reason enough",
            "traces",
            "mcp",
            "mcp --url http://127.0.0.1:7373/mcp tools",
            "mcp call finish",
            "mcp call fs_read - --json",
            "mcp read steward://packet",
            "halt",
            "halt --reason smoke",
            "resume --reason gone",
            "act scribe fs.write /reports/a.md --from a.md --confidence 0.85",
            "act scribe fs.write /reports/a.md --from - --json",
            "action list --agent scribe --decision deny --limit 3",
            "action show act_1",
            "action explain act_1",
            "policy check",
            "policy check policies",
            "policy explain agent:scribe fs.write file:/a",
            "policy test t.toml --policies p",
            "policy test",
            "policy diff policies",
            "run replay run_1",
            "agent history scribe",
            "policy diff tiers/T1.cedar --against last:50",
            "policy list",
            "ledger head",
            "ledger vkey",
            "ledger show 3",
            "ledger search --actor a --subject s --action x --decision allow --kind k --trace t --since 2h --until 2026-11-20 --limit 5",
            "ledger verify --state --against a --against b --vkey k",
            "ledger prove 3 --output f",
            "ledger check-proof f --vkey k",
            "ledger consistency 1 2",
            "ledger export --format jsonl",
            "ledger export --view violations --format csv",
            "node status",
            "node status --watch",
            "alerts --json",
            "logs tail",
            "logs tail --component store --level warn --lines 5 --since 2h --follow --home h",
            "logs analyze --archive --json",
            "--ca ca.pem --node https://steward.example.org alerts",
            "redact 7 --reason asked",
            "retention show",
            "retention show --all",
            "backup create --to /b",
            "backup create --to /b --passphrase-file f",
            "backup verify /b --key k.pem --vkey v --against a --anchor b",
            "backup restore /b --home /n --keys k --anchor a",
            "backup restore /b --passphrase-file f",
            "backup accept --reason lost",
            "upgrade check --home /n",
            "doctor",
            "completions bash",
            "man",
            "man pages",
            "--home /n --node http://127.0.0.1:1 --json doctor",
            "doctor --home /n --node http://127.0.0.1:1 --json",
        ] {
            let words = std::iter::once("steward").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_use_ends_with_2() {
        for line in [
            "",
            "frob",
            "login --key-stdin --key-file k",
            "login --oidc --key-stdin",
            "login --device --key-file k",
            "people link rita --issuer https://id.example.org",
            "people unlink rita",
            "up --listen somewhere",
            "people add rita",
            "key create --label x",
            "key create --person a --agent b --label x --scope read",
            "key create --label x --scope read --expires soon",
            "agent revoke scribe",
            "agent reinstate scribe",
            "packet check",
            "packet schema vote",
            "run start scribe",
            "run start scribe --task design",
            "run start scribe objective",
            "run start scribe --packet p --task design objective",
            "run evidence run_1",
            "review approve rvw_1",
            "review reject --reason no",
            "review list --all --status pending",
            "agent promote scribe",
            "effect resolve act_1 --reason x",
            "effect resolve act_1 --happened --did-not-happen --reason x",
            "effect resolve act_1 --happened",
            "act scribe fs.write",
            "act scribe fs.write /a --confidence 1.5",
            "mcp call",
            "mcp frob",
            "tool add files",
            "tool add files npx",
            "tool add files --url u -- npx",
            "tool add files --secret TOKEN -- npx",
            "tool allow files",
            "tool allow files read_file --all",
            "tool allow files --all --tier T4",
            "tool forbid files",
            "tool show",
            "model add fast",
            "model add fast --url u --wire grpc",
            "model add fast --url u --input-price -1",
            "model add fast --url u --input-price 1,5",
            "secret put",
            "secret put a --from-file f --generate 32",
            "secret put a --made-by g --generate 32",
            "secret put a --made-by g --from-file f",
            "secret rotate a --stdin --generate 32",
            "secret revoke a",
            "secret grant a",
            "lease revoke",
            "budget set --money 1",
            "budget set --per day",
            "budget set --per year --calls 1",
            "budget set --per day --none --calls 1",
            "usage --per run",
            "action list --decision maybe",
            "policy explain agent:scribe fs.write /a",
            "policy diff",
            "policy diff p --against 1000",
            "ledger show -1",
            "ledger show x",
            "ledger check-proof f",
            "ledger export",
            "ledger export --format xml",
            "completions basic",
            "logs tail --level loud",
            "logs tail --follow --archive",
            "logs",
            "redact 7",
            "redact --reason x",
            "backup create",
            "backup restore",
            "backup accept",
            "upgrade",
        ] {
            let words = std::iter::once("steward").chain(line.split(' ').filter(|word| !word.is_empty()));
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn look(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
