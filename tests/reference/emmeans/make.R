# Rscript make.R, in this folder. Writes one JSON file a model: the rows, and what emmeans prints for some calls.
suppressMessages({library(emmeans); library(lmerTest); library(jsonlite); library(nlme); library(MASS)})
emm_options(lmer.df = "satterthwaite", opt.digits = FALSE)
witness <- paste("R", getRversion(), "emmeans", packageVersion("emmeans"), "lmerTest", packageVersion("lmerTest"))

column <- function(x) {
  if (is.factor(x)) list(levels = levels(x), values = as.character(x)) else list(values = x)
}
# What henderson calls the columns.
rename <- c(emmean = "estimate", response = "estimate", ratio = "estimate", SE = "std_error", t.ratio = "statistic",
            z.ratio = "statistic", p.value = "p_value", lower.CL = "conf_low", upper.CL = "conf_high",
            asymp.LCL = "conf_low", asymp.UCL = "conf_high", F.ratio = "statistic", "model term" = "term")
table_of <- function(x, ...) {
  if (!inherits(x, "summary_emm")) x <- summary(x, infer = TRUE, ...)
  a <- as.data.frame(x, check.names = FALSE)
  names(a) <- ifelse(names(a) %in% names(rename), rename[names(a)], names(a))
  names(a) <- sub("^.*\\.trend$", "estimate", names(a))
  a$null <- NULL
  lapply(a, function(v) if (is.factor(v)) as.character(v) else v)
}
write_case <- function(name, formula, data, calls, kind = "lm", weights = NULL, ...) {
  out <- list(witness = witness, kind = kind, formula = formula, weights = weights, data = lapply(as.list(data), column), calls = calls)
  out <- c(out, list(...))
  out <- out[!sapply(out, is.null)]
  writeLines(toJSON(out, digits = NA, auto_unbox = TRUE, na = "null", null = "null", pretty = FALSE), paste0(name, ".json"))
}
# verb: method of the fit; arguments; then: method of the result with its arguments.
call_of <- function(verb, args, table, then = NULL, then_args = NULL, skip = NULL)
  list(verb = verb, arguments = args, then = then, then_arguments = then_args, table = table, skip = skip)
no <- setNames(list(), character(0))

# -- pigs: additive, log response ------------------------------------------------------------------
d <- data.frame(conc = pigs$conc, source = pigs$source, percent = factor(pigs$percent))
f <- lm(log(conc) ~ source + percent, d)
m <- emmeans(f, ~ source); mp <- emmeans(f, ~ percent)
calls <- list(
  call_of("emmeans", list(specs = "source"), table_of(m)),
  call_of("emmeans", list(specs = "source", type = "response"), table_of(m, type = "response")),
  call_of("emmeans", list(specs = "source", type = "response", bias_adjust = TRUE),
          table_of(m, type = "response", bias.adjust = TRUE, sigma = sigma(f)), skip = c("statistic", "p_value")),
  call_of("emmeans", list(specs = "source", level = 0.9, adjust = "sidak"), table_of(m, level = 0.9, adjust = "sidak"),
          skip = c("statistic", "p_value")),
  call_of("emmeans", list(specs = "source", weights = "proportional"), table_of(emmeans(f, ~ source, weights = "proportional"))),
  call_of("pairs", list(specs = "source", adjust = "none", type = "response"), table_of(pairs(m), adjust = "none", type = "response")),
  call_of("pairs", list(specs = "source", adjust = "none", df = 7), table_of(pairs(emmeans(f, ~ source, df = 7)), adjust = "none")))
for (a in c("bonferroni", "sidak", "scheffe"))
  calls <- c(calls, list(call_of("pairs", list(specs = "percent", adjust = a), table_of(pairs(mp), adjust = a))))
for (a in c("holm", "hochberg", "hommel", "fdr", "BY"))
  calls <- c(calls, list(call_of("pairs", list(specs = "percent", adjust = tolower(a)), table_of(pairs(mp), adjust = a))))
for (k in c("eff", "del.eff", "consec", "mean_chg", "poly", "trt.vs.ctrl", "trt.vs.ctrlk", "revpairwise"))
  calls <- c(calls, list(call_of("emmeans", list(specs = "percent"), table_of(contrast(mp, k), adjust = "bonferroni"),
                                 then = "contrast", then_args = list(method = k, adjust = "bonferroni"))))
calls <- c(calls, list(
  call_of("emmeans", list(specs = "percent"), table_of(contrast(mp, list("low - high" = c(.5, .5, -.5, -.5), mid = c(-1, 1, 1, -1))), adjust = "none"),
          then = "contrast", then_args = list(method = list("low - high" = c(.5, .5, -.5, -.5), mid = c(-1, 1, 1, -1)))),
  call_of("joint_tests", no, table_of(joint_tests(f)))))
write_case("pigs", "log(conc) ~ source + percent", d, calls)

# -- other scales of the response --------------------------------------------------------------------
for (s in list(c("sqrt", "sqrt(conc)"), c("log10", "log10(conc)"), c("log_plus", "log(conc + 5)"))) {
  formula <- paste(s[2], "~ source * percent")
  f <- eval(bquote(lm(.(as.formula(formula)), d)))
  m <- emmeans(f, ~ percent | source)
  write_case(paste0("pigs_", s[1]), formula, d, list(
    call_of("emmeans", list(specs = "percent | source", type = "response"), table_of(m, type = "response"), skip = c("statistic", "p_value")),
    call_of("emmeans", list(specs = "percent | source"), table_of(m)),
    call_of("emmeans", list(specs = "percent | source", type = "response"),
            table_of(contrast(m, "trt.vs.ctrl"), adjust = "sidak", type = "response"), then = "contrast",
            then_args = list(method = "trt.vs.ctrl", adjust = "sidak"))))
}

# -- warpbreaks: interaction, families by another factor ----------------------------------------------
d <- warpbreaks
f <- lm(breaks ~ wool * tension, d)
m <- emmeans(f, ~ tension | wool); both <- emmeans(f, ~ wool * tension)
write_case("warpbreaks", "breaks ~ wool * tension", d, list(
  call_of("emmeans", list(specs = "tension | wool"), table_of(m)),
  call_of("pairs", list(specs = "tension | wool", adjust = "none"), table_of(pairs(m), adjust = "none")),
  call_of("pairs", list(specs = "tension", adjust = "scheffe", by = "wool"), table_of(pairs(m), adjust = "scheffe")),
  call_of("pairs", list(specs = "tension | wool", adjust = "holm", reverse = TRUE), table_of(pairs(m, reverse = TRUE), adjust = "holm")),
  call_of("pairs", list(specs = c("wool", "tension"), adjust = "bonferroni"), table_of(pairs(both), adjust = "bonferroni")),
  call_of("emmeans", list(specs = "wool * tension"), table_of(contrast(both, interaction = "pairwise", by = NULL), adjust = "none"),
          then = "contrast", then_args = list(method = "pairwise", interaction = TRUE, adjust = "none"), skip = c("wool_pairwise", "tension_pairwise")),
  call_of("joint_tests", no, table_of(joint_tests(f))),
  call_of("joint_tests", list(by = "wool"), table_of(joint_tests(f, by = "wool"))),
  call_of("joint_tests", list(by = "tension"), table_of(joint_tests(f, by = "tension")))))

# -- unbalanced, covariates, prior weights ---------------------------------------------------------------
d <- data.frame(mpg = mtcars$mpg, cyl = factor(mtcars$cyl), am = factor(mtcars$am, labels = c("auto", "manual")), gear = mtcars$gear,
                vs = mtcars$vs, hp = mtcars$hp, wt = mtcars$wt, w = 1 + mtcars$carb / 4)
formula <- "mpg ~ cyl * am + vs + factor(gear) + log(hp) + poly(wt, 2)"
for (k in c("", "_weighted")) {
  f <- if (k == "") lm(as.formula(formula), d) else lm(as.formula(formula), d, weights = w)
  calls <- list()
  for (w in c("equal", "proportional", "outer", "cells", "flat"))
    calls <- c(calls, list(call_of("emmeans", list(specs = "cyl", weights = w), table_of(emmeans(f, ~ cyl, weights = w))),
                           call_of("emmeans", list(specs = "am | cyl", weights = w), table_of(emmeans(f, ~ am | cyl, weights = w)))))
  calls <- c(calls, list(
    call_of("emmeans", list(specs = "cyl", at = list(wt = 3, hp = c(100, 200), gear = c(4, 5), am = "manual")),
            table_of(emmeans(f, ~ cyl, at = list(wt = 3, hp = c(100, 200), gear = c(4, 5), am = "manual")))),
    call_of("emmeans", list(specs = "vs"), table_of(emmeans(f, ~ vs))),
    call_of("emmeans", list(specs = "gear"), table_of(emmeans(f, ~ gear))),
    call_of("emmeans", list(specs = "wt", at = list(wt = c(2, 3, 4))), table_of(emmeans(f, ~ wt, at = list(wt = c(2, 3, 4))))),
    call_of("emmeans", list(specs = "wt", at = list(wt = c(2, 3, 4))), table_of(pairs(emmeans(f, ~ wt, at = list(wt = c(2, 3, 4)))), adjust = "none"),
            then = "pairs", then_args = list(adjust = "none")),
    call_of("pairs", list(specs = "cyl", weights = "cells", adjust = "none"), table_of(pairs(emmeans(f, ~ cyl, weights = "cells")), adjust = "none")),
    call_of("joint_tests", list(at = list(wt = 3, hp = 150)), table_of(joint_tests(f, at = list(wt = 3, hp = 150))))))
  write_case(paste0("mtcars", k), formula, d, calls, weights = if (k == "") NULL else "w")
}

# -- slopes ------------------------------------------------------------------------------------------------
formula <- "mpg ~ cyl * poly(hp, 2) + am:log(wt) + am"
f <- lm(as.formula(formula), d)
# emtrends takes (l(x + delta) - l(x)) / delta: a small delta.
trends <- function(f, specs, var, ...) emtrends(f, specs, var = var, delta.var = 1e-7 * diff(range(d[[var]])), ...)
cyl <- trends(f, ~ cyl, "hp"); am <- trends(f, ~ am, "wt")
write_case("mtcars_slopes", formula, d, list(
  call_of("slopes", list(variable = "hp", by = "cyl"), table_of(cyl)),
  call_of("slopes", list(variable = "hp", by = "cyl", at = list(hp = 120)), table_of(trends(f, ~ cyl, "hp", at = list(hp = 120)))),
  call_of("slopes", list(variable = "hp"), table_of(trends(f, ~ 1, "hp")), skip = "1"),
  call_of("slopes", list(variable = "hp", by = c("cyl", "hp"), at = list(hp = c(100, 200))), table_of(trends(f, ~ cyl * hp, "hp", at = list(hp = c(100, 200))))),
  call_of("slopes", list(variable = "hp", by = "cyl"), table_of(pairs(cyl), adjust = "bonferroni"), then = "pairs", then_args = list(adjust = "bonferroni")),
  call_of("slopes", list(variable = "wt", by = "am"), table_of(am))))

# -- an offset, and a factor of numbers with two levels -----------------------------------------------------
d <- data.frame(Claims = Insurance$Claims, Group = factor(Insurance$Group, ordered = FALSE), Age = factor(Insurance$Age, ordered = FALSE), Holders = Insurance$Holders)
f <- lm(log(Claims + 1) ~ Group + Age + offset(log(Holders)), d)
write_case("insurance_offset", "log(Claims + 1) ~ Group + Age + offset(log(Holders))", d, list(
  call_of("emmeans", list(specs = "Age"), table_of(emmeans(f, ~ Age))),
  call_of("pairs", list(specs = "Age", adjust = "none"), table_of(pairs(emmeans(f, ~ Age)), adjust = "none"))))

# -- cells without rows ---------------------------------------------------------------------------------------
d <- data.frame(y = c(4.2, 5.1, 6.3, 6.6, 7.1, 3.9, 4.4, 4.0, 6.1, 5.8), A = factor(c("a1", "a1", "a1", "a2", "a2", "a3", "a3", "a3", "a1", "a2")),
                B = factor(c("b1", "b2", "b3", "b1", "b2", "b1", "b1", "b1", "b3", "b2")))
f <- lm(y ~ A * B, d)
write_case("empty_cells", "y ~ A * B", d, list(
  call_of("emmeans", list(specs = "A * B"), table_of(emmeans(f, ~ A * B))),
  call_of("emmeans", list(specs = "A"), table_of(emmeans(f, ~ A))),
  call_of("emmeans", list(specs = "B", weights = "cells"), table_of(emmeans(f, ~ B, weights = "cells"))),
  call_of("pairs", list(specs = "A | B", adjust = "none"), table_of(pairs(emmeans(f, ~ A | B)), adjust = "none"))))

# -- mixed models: Satterthwaite ---------------------------------------------------------------------------------
# lme4's own criterion to its last digits: its optimiser, then Newton steps by Richardson's differences (as ../tighten.R).
tight <- function(fn, par, lower, upper, control) {
  best <- minqa::bobyqa(par, fn, lower = lower, control = list(rhobeg = 0.2, rhoend = 1e-9, maxfun = 20000))$par
  for (i in 1:4) {
    g <- numDeriv::grad(fn, best, method.args = list(d = 0.01)); H <- numDeriv::hessian(fn, best, method.args = list(d = 0.05))
    best <- best - solve(H, g)
  }
  list(par = best, fval = fn(best), conv = 0, message = "")
}
ctl <- lmerControl(optimizer = "tight", calc.derivs = FALSE)
d <- data.frame(score = Machines$score, Machine = factor(as.character(Machines$Machine)), Worker = factor(as.character(Machines$Worker)))
f <- lmer(score ~ Machine + (1 | Worker / Machine), d, control = ctl)
m <- emmeans(f, ~ Machine)
write_case("machines", "score ~ Machine + (1 | Worker/Machine)", d, kind = "lmm", list(
  call_of("emmeans", list(specs = "Machine"), table_of(m)),
  call_of("pairs", list(specs = "Machine", adjust = "none"), table_of(pairs(m), adjust = "none")),
  call_of("pairs", list(specs = "Machine", adjust = "none", df = "inf"), table_of(pairs(emmeans(f, ~ Machine, lmer.df = "asymptotic")), adjust = "none"), skip = "df"),
  call_of("emmeans", list(specs = "Machine"), table_of(contrast(m, "eff"), adjust = "none"), then = "contrast", then_args = list(method = "eff", adjust = "none"))))
d <- data.frame(yield = Oats$yield, nitro = Oats$nitro, Variety = factor(as.character(Oats$Variety)), Block = factor(as.character(Oats$Block)))
f <- lmer(yield ~ Variety * factor(nitro) + (1 | Block / Variety), d, control = ctl)
write_case("oats", "yield ~ Variety * factor(nitro) + (1 | Block/Variety)", d, kind = "lmm", list(
  call_of("emmeans", list(specs = "Variety"), table_of(emmeans(f, ~ Variety))),
  call_of("emmeans", list(specs = "nitro | Variety"), table_of(emmeans(f, ~ nitro | Variety))),
  call_of("pairs", list(specs = "Variety | nitro", adjust = "none"), table_of(pairs(emmeans(f, ~ Variety | nitro)), adjust = "none")),
  call_of("emmeans", list(specs = "nitro"), table_of(contrast(emmeans(f, ~ nitro), "poly")), then = "contrast", then_args = list(method = "poly"))))
d <- data.frame(Reaction = sleepstudy$Reaction, Days = sleepstudy$Days, Subject = factor(as.character(sleepstudy$Subject)))
f <- lmer(Reaction ~ Days + (Days | Subject), d, control = ctl)
write_case("sleepstudy", "Reaction ~ Days + (Days | Subject)", d, kind = "lmm", list(
  call_of("emmeans", list(specs = "Days", at = list(Days = c(0, 5, 9))), table_of(emmeans(f, ~ Days, at = list(Days = c(0, 5, 9))))),
  call_of("slopes", list(variable = "Days"), table_of(emtrends(f, ~ 1, var = "Days")), skip = "1")))
d <- data.frame(score = Machines$score, Machine = factor(as.character(Machines$Machine)), Worker = factor(as.character(Machines$Worker)))[-c(1, 2, 9, 22, 30, 47), ]
f <- lmer(log(score) ~ Machine + (1 | Worker / Machine), d, control = ctl)
m <- emmeans(f, ~ Machine)
write_case("machines_unbalanced", "log(score) ~ Machine + (1 | Worker/Machine)", d, kind = "lmm", list(
  call_of("emmeans", list(specs = "Machine", type = "response"), table_of(m, type = "response"), skip = c("statistic", "p_value")),
  call_of("pairs", list(specs = "Machine", adjust = "holm", type = "response"), table_of(pairs(m), adjust = "holm", type = "response")),
  # lmerTest's F: that of emmeans takes the least of the degrees of freedom of its parts.
  call_of("joint_tests", no, with(anova(f), list(term = "Machine", df1 = NumDF, df2 = DenDF, statistic = `F value`, p_value = `Pr(>F)`)))))
