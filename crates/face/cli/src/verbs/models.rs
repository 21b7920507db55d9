//! `steward model`: language models that stand behind the node.
//!
//! Deliberately absent: talking to one. Agents do, within their runs; `model test` asks something small.

use clap::{Args, Subcommand};
use steward_wire::{AddModel, ModelList, ModelRecord, ModelTested};

use crate::{
    failure::Failure,
    money::{micros, money},
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// What can be done about models.
#[derive(Debug, Subcommand)]
pub enum ModelVerb {
    /// Put a model behind the node
    #[command(
        after_help = "The provider's key is a file in HOME/secrets of the node, mode 0600, and is given by its name: \
                      `--secret openrouter` uses what is in HOME/secrets/openrouter. It never reaches an agent."
    )]
    Add(AddArgs),
    /// List all models, and whether each is asked
    List,
    /// Ask one something small: whether address, key and name are right; it costs a word or two
    Test {
        /// Its name
        name: String,
    },
    /// Take one away; what was used of it stays on record
    Remove {
        /// Its name
        name: String,
    },
}

/// A model.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What agents call it: small letters, digits and hyphens
    name: String,
    /// The provider's address, up to its version: what ends in /v1
    #[arg(long, value_name = "URL")]
    url: String,
    /// The language that the provider speaks
    #[arg(long, default_value = "openai", value_parser = ["openai", "anthropic"])]
    wire: String,
    /// What the provider calls it [default: the same]
    #[arg(long, value_name = "MODEL")]
    upstream: Option<String>,
    /// The name of the secret that is the provider's key
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// The lowest tier that may use it
    #[arg(long, value_name = "TIER", default_value = "T0", value_parser = ["T0", "T1", "T2", "T3"])]
    tier: String,
    /// What a million tokens of a prompt cost: 0.15
    #[arg(long, value_name = "MONEY", value_parser = micros, allow_negative_numbers = true)]
    input_price: Option<u64>,
    /// What a million tokens of an answer cost: 0.60
    #[arg(long, value_name = "MONEY", value_parser = micros, allow_negative_numbers = true)]
    output_price: Option<u64>,
    /// The most tokens of one answer [default: 4096]
    #[arg(long, value_name = "TOKENS")]
    max_output: Option<u64>,
    /// The model that is asked when this one cannot answer
    #[arg(long, value_name = "MODEL")]
    fallback: Option<String>,
    /// Replace what is known of a model of that name, its key and tier too
    #[arg(long)]
    replace: bool,
}

impl From<AddArgs> for AddModel {
    fn from(args: AddArgs) -> Self {
        Self {
            name: args.name,
            wire: Some(args.wire),
            url: args.url,
            upstream: args.upstream,
            secret: args.secret,
            tier: Some(args.tier),
            input_price_micros: args.input_price,
            output_price_micros: args.output_price,
            max_output: args.max_output,
            fallback: args.fallback,
            replace: args.replace,
        }
    }
}

/// Carries it out. `--json` prints `ModelRecord`, `ModelList` of a list, and `ModelTested` of a test.
pub(crate) async fn carry_out(session: &mut Session, verb: ModelVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        ModelVerb::Add(args) => {
            let added = caller.add_model(&args.into()).await?;
            session.show.answer(&added, model_view)?;
            if added.input_price_micros.is_none() || added.output_price_micros.is_none() {
                let says = "It has no price, so that it cannot be used under a budget in money.";
                session.show.aside(&format!("{says} --input-price and --output-price give it one."));
            }
            let test = session.command(&format!("model test {}", added.name));
            session.show.aside(&format!("See whether it answers: `{test}`"));
            Ok(())
        }
        ModelVerb::List => session.show.answer(&caller.models().await?, list_view),
        ModelVerb::Test { name } => session.show.answer(&caller.test_model(&name).await?, tested_view),
        ModelVerb::Remove { name } => session.show.answer(&caller.remove_model(&name).await?, model_view),
    }
}

/// How a breaker is said: as whoever looks for a reason would.
fn breaker(state: &str) -> Word {
    match state {
        "closed" => Word::new(state, Ink::Good),
        "open" => Word::new(state, Ink::Bad),
        _ => Word::new(state, Ink::Warn),
    }
}

fn price(micros: Option<u64>) -> String {
    micros.map(money).unwrap_or_default()
}

fn model_view(model: &ModelRecord, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    facts(
        looks,
        [
            ("model", Word::new(&model.name, Ink::Bold)),
            ("url", (&model.url).into()),
            ("wire", (&model.wire).into()),
            ("upstream", (&model.upstream).into()),
            ("secret", text(&model.secret)),
            ("allowed", format!("from {} on", model.tier).into()),
            ("input price", price(model.input_price_micros).into()),
            ("output price", price(model.output_price_micros).into()),
            ("max output", format!("{} tokens", model.max_output).into()),
            ("fallback", text(&model.fallback)),
            ("breaker", breaker(&model.breaker)),
            ("added", format!("{}, by {}", model.added_at, model.added_by).into()),
            ("entry", model.entry.to_string().into()),
        ],
    )
}

fn list_view(list: &ModelList, looks: Looks) -> String {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let rows = list.models.iter().map(|model| {
        [
            Word::from(&model.name),
            (&model.tier).into(),
            breaker(&model.breaker),
            or_none(price(model.input_price_micros)).into(),
            or_none(price(model.output_price_micros)).into(),
            model.fallback.as_deref().unwrap_or("-").into(),
            (&model.upstream).into(),
            (&model.url).into(),
        ]
    });
    table(looks, ["model", "tier", "breaker", "input", "output", "fallback", "upstream", "url"], rows)
}

fn tested_view(tested: &ModelTested, looks: Looks) -> String {
    facts(
        looks,
        [
            ("model", Word::new(&tested.model, Ink::Bold)),
            ("said", (&tested.said).into()),
            ("tokens", format!("{} in, {} out", tested.prompt_tokens, tested.completion_tokens).into()),
            ("took", format!("{} ms", tested.ms).into()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use expect_test::expect;
    use steward_wire::{AddModel, ModelList, ModelRecord, ModelTested};

    use super::{ModelVerb, list_view, model_view, tested_view};
    use crate::{
        cli::{Cli, Command},
        show::Looks,
    };

    fn model() -> ModelRecord {
        ModelRecord {
            name: "fast".into(),
            wire: "openai".into(),
            url: "https://openrouter.ai/api/v1".into(),
            upstream: "qwen/qwen3-8b".into(),
            secret: Some("openrouter".into()),
            tier: "T0".into(),
            input_price_micros: Some(150_000),
            output_price_micros: None,
            max_output: 4096,
            fallback: Some("local".into()),
            breaker: "half_open".into(),
            added_by: "adam@acme.internal".into(),
            added_at: "2026-11-20T20:14:27.123Z".into(),
            entry: 7,
        }
    }

    #[test]
    fn a_model_as_it_looks() {
        expect![[r#"
            model        fast
            url          https://openrouter.ai/api/v1
            wire         openai
            upstream     qwen/qwen3-8b
            secret       openrouter
            allowed      from T0 on
            input price  0.15
            max output   4096 tokens
            fallback     local
            breaker      half_open
            added        2026-11-20T20:14:27.123Z, by adam@acme.internal
            entry        7
        "#]]
        .assert_eq(&model_view(&model(), Looks::default()));
        expect![[r#"
            model  tier  breaker    input  output  fallback  upstream       url
            fast   T0    half_open  0.15   -       local     qwen/qwen3-8b  https://openrouter.ai/api/v1
        "#]]
        .assert_eq(&list_view(&ModelList { models: vec![model()] }, Looks::default()));
    }

    #[test]
    fn what_a_model_says_cannot_steer_the_terminal() {
        let tested = ModelTested {
            model: "fast".into(),
            said: "yes\u{1b}[2J\n".into(),
            prompt_tokens: 12,
            completion_tokens: 1,
            ms: 430,
        };
        expect![[r#"
            model   fast
            said    yes\u{1b}[2J\n
            tokens  12 in, 1 out
            took    430 ms
        "#]]
        .assert_eq(&tested_view(&tested, Looks::default()));
    }

    #[test]
    fn prices_are_sent_in_millionths() {
        let line = "steward model add fast --url http://127.0.0.1:11434/v1 --input-price 0.15 --output-price 3";
        let Command::Model(ModelVerb::Add(args)) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("it adds a model");
        };
        let sent = AddModel::from(args);
        assert_eq!((sent.input_price_micros, sent.output_price_micros), (Some(150_000), Some(3_000_000)));
        // What is less than nothing is told as that, and not as an argument that nobody knows.
        for price in ["--input-price", "--output-price"] {
            let line = format!("steward model add fast --url u {price} -3");
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains("this is no amount") && !error.contains("tip:"), "{error}");
        }
        assert_eq!((sent.wire.as_deref(), sent.tier.as_deref(), sent.max_output), (Some("openai"), Some("T0"), None));
    }
}
